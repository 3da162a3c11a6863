/* Cards on symbols, scrolling by keyboard, and pages that print whole.
 *
 * A symbol in the text carries `data-symbol`; the cards stand in the page as JSON. A card opens on
 * hover, focus or touch, stays while the pointer is on it, and closes with Escape.
 */
(() => {
  "use strict";

  const source = document.getElementById("symbol-cards");
  const cards = source ? JSON.parse(source.textContent) : {};
  const all = (selector) => /** @type {any[]} */ ([...document.querySelectorAll(selector)]);
  const links = all("a.symbol");
  const hrefOf = (id) => links.find((link) => link.dataset.symbol === id)?.href;

  const card = document.createElement("div");
  Object.assign(card, { id: "symbol-card", className: "symbol-card", hidden: true });
  card.setAttribute("role", "tooltip");

  let owner = null;
  let timer = 0;

  /** Under the symbol, inside the window; above it where there is no room below. */
  function place() {
    const at = owner.getBoundingClientRect();
    const { offsetWidth: width, offsetHeight: height } = card;
    const below = at.bottom + 6 + height < innerHeight;
    const left = Math.max(8, Math.min(innerWidth - width - 8, at.left));
    card.style.left = `${left + scrollX}px`;
    card.style.top = `${(below ? at.bottom + 6 : at.top - height - 6) + scrollY}px`;
  }

  function show(symbol) {
    clearTimeout(timer);
    if (owner === symbol) return;
    hide();
    owner = symbol;
    const { symbol: said, meaning } = cards[symbol.dataset.symbol];
    card.innerHTML = `<b>${said}</b><p>${meaning}</p><a>Notation</a>`;
    card.querySelector("a").href = hrefOf(symbol.dataset.symbol);
    card.querySelector("a").tabIndex = -1; // the symbol itself is the way there by keyboard
    card.hidden = false;
    symbol.setAttribute("aria-describedby", card.id);
    place();
  }

  function hide() {
    clearTimeout(timer);
    owner?.removeAttribute("aria-describedby");
    owner = null;
    card.hidden = true;
  }

  const hideSoon = () => {
    clearTimeout(timer);
    timer = setTimeout(hide, 250);
  };

  // A finger leaves as soon as it is lifted; its card stays until the next tap elsewhere.
  const leave = (event) => event.pointerType === "touch" || hideSoon();

  if (source) {
    document.body.append(card);
    for (const symbol of all(".symbol")) {
      symbol.addEventListener("pointerenter", () => show(symbol));
      symbol.addEventListener("pointerleave", leave);
      symbol.addEventListener("focus", () => show(symbol));
      symbol.addEventListener("blur", hideSoon);
      symbol.addEventListener("click", (event) => {
        if (event.pointerType === "touch" && symbol.matches("a")) event.preventDefault(); // the card first
        else if (!symbol.matches("a") && event.pointerType !== "touch") location.assign(hrefOf(symbol.dataset.symbol));
      });
    }
    card.addEventListener("pointerenter", () => clearTimeout(timer));
    card.addEventListener("pointerleave", leave);
    document.addEventListener("pointerdown", (event) => /** @type {Element} */ (event.target).closest(".symbol, .symbol-card") || hide());
    document.addEventListener("keydown", (event) => event.key === "Escape" && hide());
  }

  /* What scrolls inside its own box can be reached by keyboard, and fades where it goes on; it is
   * measured as it comes near, as it changes its size and as it is scrolled. */
  const boxes = "pre, .cell_output > .output, .pst-scrollable-table-container, .katex-display";
  // Not while it has the focus: that would be lost. It may have begun to scroll by its end.
  const passBy = (box) =>
    box === document.activeElement
      ? box.addEventListener("blur", () => scrolls(box) || passBy(box), { once: true })
      : box.removeAttribute("tabindex");
  const stopAt = (box) => {
    box.tabIndex = 0;
    if (box.hasAttribute("role")) return; // the build has named it
    box.setAttribute("role", "group");
    box.setAttribute("aria-label", "Output");
  };
  const scrolls = (e) => e.scrollWidth > e.clientWidth || e.scrollHeight > e.clientHeight;
  const sides = { "true,true": "both", "true,false": "left", "false,true": "right" };
  const fade = (box) => {
    const [left, right] = [box.scrollLeft > 1, box.scrollLeft + box.clientWidth < box.scrollWidth - 1];
    const side = sides[`${left},${right}`];
    if (side) box.dataset.more = side;
    else delete box.dataset.more;
  };
  const measure = (entries) => {
    const seen = /** @type {any[]} */ (entries.map((entry) => entry.target));
    const wide = seen.filter(scrolls);
    for (const box of seen) (wide.includes(box) ? stopAt : passBy)(box);
    seen.forEach(fade);
  };
  const resized = new ResizeObserver(measure);
  const near = new IntersectionObserver(
    (entries) => entries.forEach(({ isIntersecting, target }) => isIntersecting && meet(target)),
    { rootMargin: "600px" },
  );
  const meet = (box) => {
    near.unobserve(box);
    resized.observe(box); // and measures it a first time
    box.addEventListener("scroll", () => fade(box), { passive: true });
  };
  all(boxes).forEach((box) => near.observe(box));

  /* At the top no section is being read, whichever the theme has marked last. */
  const marked = ".bd-sidebar-secondary .nav-link.active";
  addEventListener(
    "scroll",
    () => scrollY < 8 && requestAnimationFrame(() => all(marked).forEach((link) => link.classList.remove("active"))),
    { passive: true },
  );

  /* A browser does not wait on paper for letters that it has not loaded. Parts far from the window
   * are not laid out and ask for none, so the letters of their equations are asked for here. */
  const letters = {
    ".katex": "1em KaTeX_Main",
    ".katex .mathnormal": "italic 1em KaTeX_Math",
    ".katex .mathbf": "bold 1em KaTeX_Main",
    ".katex :is(.mathbb, .amsrm)": "1em KaTeX_AMS",
    ".katex .mathcal": "1em KaTeX_Caligraphic",
    ".katex :is(.small-op, .size1, .delim-size1)": "1em KaTeX_Size1",
    ".katex :is(.large-op, .size2)": "1em KaTeX_Size2",
    ".katex .size3": "1em KaTeX_Size3",
    ".katex :is(.size4, .delim-size4)": "1em KaTeX_Size4",
  };
  const askForLetters = () => {
    for (const [selector, face] of Object.entries(letters))
      if (document.querySelector(selector)) document.fonts.load(face);
    document.documentElement.dataset.letters = "asked";
  };
  addEventListener("load", () => setTimeout(askForLetters, 1000));

  /* Print: light colours, folded parts open; everything as before afterwards. */
  const root = document.documentElement;
  let undo = [];

  /* A figure stays as it is laid out for the screen, and shrinks as a whole. */
  const PRINTED = 580; // pixels, of 688 between the margins of A4: half a sheet is room for most
  const keepLayout = (figure) => {
    const width = figure.getBoundingClientRect().width;
    if (!width) return;
    Object.assign(figure.style, { width: `${width}px`, zoom: String(Math.min(1, PRINTED / width)) });
    undo.push(() => Object.assign(figure.style, { width: "", zoom: "" }));
  };

  addEventListener("beforeprint", () => {
    all(".figure-mount .maml-figure").forEach(keepLayout);
    for (const part of all(".bd-article > section > section")) {
      part.style.contentVisibility = "visible";
      undo.push(() => (part.style.contentVisibility = ""));
    }
    const theme = root.dataset.theme;
    root.dataset.theme = "light";
    undo.push(() => (root.dataset.theme = theme));
    for (const part of all("details:not([open])")) {
      part.open = true;
      undo.push(() => (part.open = false));
    }
    for (const part of document.querySelectorAll(".toggle-hidden")) {
      part.classList.remove("toggle-hidden");
      undo.push(() => part.classList.add("toggle-hidden"));
    }
  });
  addEventListener("afterprint", () => {
    undo.forEach((step) => step());
    undo = [];
  });
})();
