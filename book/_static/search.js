/* The search page. Sphinx's index finds and ranks; this shows of each page that is found the section
 * that says most of what was asked for, from texts that lie in a script (book/_ext/search_texts.py):
 * nothing is fetched, so that a page opened from a file finds as much as one from a server.
 */
(() => {
  "use strict";

  // @ts-expect-error a name of Sphinx's scripts
  const sphinx = Search;
  const stemmer = new window["Stemmer"]();
  /** @type {Record<string, string[][]>} of each page: identifier, title and text of its sections */
  const texts = window["searchTexts"];
  const WORD = /[\p{Letter}\p{Number}_]+/gu;
  const LENGTH = 240; // of an excerpt, in characters
  const BEFORE = 70; // of these, how many may stand before the first word that is marked

  const stems = new Map();

  function stemOf(word) {
    if (!stems.has(word)) stems.set(word, stemmer.stemWord(word.toLowerCase()));
    return stems.get(word);
  }

  /** The term that a word answers; parts of words count where the index has no such word, as for Sphinx. */
  function termOf(word, terms) {
    const isIn = (term) => !(term in sphinx._index.terms) && word.toLowerCase().includes(term);
    return terms.find((term) => stemOf(word) === term) ?? terms.find(isIn);
  }

  /** Where in a text words stand that are asked for. */
  function hits(text, terms) {
    const words = [...text.matchAll(WORD)].map(({ 0: word, index }) => ({ start: index, end: index + word.length, term: termOf(word, terms) }));
    return words.filter(({ term }) => term);
  }

  const nDifferent = (found) => new Set(found.map(({ term }) => term)).size;

  /** How much a section says of what is asked for: all words before many, and a title before a text. */
  function worth([, title, text], terms) {
    const inTitle = hits(title, terms);
    const found = [...inTitle, ...hits(text, terms)];
    return 100 * nDifferent(found) + 20 * inTitle.length + Math.min(found.length, 19);
  }

  /** The section of a page that is not shown yet and says most, or nothing. */
  function bestOf(sections, terms) {
    const rated = sections.map((section) => ({ section, rate: worth(section, terms) }));
    return rated.reduce((best, each) => (each.rate > best.rate ? each : best), { section: undefined, rate: 0 }).section;
  }

  /** The sections to show, best first: `{page, section}`; `results` are Sphinx's, best last. */
  function chosen(results, terms) {
    const shown = new Set();
    return results.reverse().flatMap(([page, , anchor]) => {
      const open = texts[page].filter((section) => !shown.has(section));
      const named = texts[page].find(([id]) => anchor === `#${id}`);
      const section = named ?? bestOf(open, terms) ?? (terms.length ? undefined : open[0]);
      if (!section || shown.has(section)) return [];
      shown.add(section);
      return [{ page, section }];
    });
  }

  /** From where to where a text is shown: around the word after which most words asked for follow. */
  function span(text, found) {
    const following = (from) => found.filter(({ start, end }) => start >= from && end <= from + LENGTH - BEFORE);
    const most = Math.max(0, ...found.map(({ start }) => nDifferent(following(start))));
    const first = found.find(({ start }) => nDifferent(following(start)) === most)?.start ?? 0;
    const from = first <= BEFORE ? 0 : text.indexOf(" ", first - BEFORE) + 1;
    const to = from + LENGTH >= text.length ? text.length : text.lastIndexOf(" ", from + LENGTH);
    return [Math.min(from, first), Math.max(to, first)];
  }

  function make(tag, properties, ...children) {
    const node = Object.assign(document.createElement(tag), properties);
    node.append(...children);
    return node;
  }

  /** A piece of a section's text, with the words that are asked for marked. */
  function excerpt([, title, text], terms) {
    const whole = hits(text, terms).length ? text : `${title}. ${text}`;
    const found = hits(whole, terms);
    const [from, to] = span(whole, found);
    const parts = [from ? "… " : ""];
    let at = from;
    for (const { start, end } of found.filter((hit) => hit.start >= from && hit.end <= to)) {
      parts.push(whole.slice(at, start), make("mark", {}, whole.slice(start, end)));
      at = end;
    }
    return make("p", { className: "context" }, ...parts, whole.slice(at, to), to < whole.length ? " …" : "");
  }

  function item({ page, section }, terms) {
    const [anchor, title] = section;
    const [[, chapter]] = texts[page];
    const link = make("a", { href: `${page}.html#${anchor}` }, title === chapter ? title : `${chapter} › ${title}`);
    return make("li", {}, link, excerpt(section, terms));
  }

  function answer(n, query) {
    if (!n) return `Nothing in this book matches “${query}”. All words of a search must stand on one page: try fewer of them.`;
    return `${n} ${n === 1 ? "place" : "places"} found for “${query}”.`;
  }

  /** Once the page is there: what is said before that, a screen reader passes over. */
  function say(text) {
    const status = document.getElementById("search-status");
    if (document.readyState === "complete") status.textContent = text;
    else addEventListener("load", () => (status.textContent = text));
  }

  sphinx.query = (query) => {
    const asked = sphinx._parseQuery(query);
    const terms = /** @type {string[]} */ ([...asked[1]]);
    const found = chosen(sphinx._performSearch(...asked), terms);
    sphinx.stopPulse();
    const list = make("ol", { className: "search-list" }, ...found.map((each) => item(each, terms)));
    document.getElementById("search-results").replaceChildren(list);
    say(answer(found.length, query));
  };

  /** @type {HTMLInputElement} */
  const field = document.querySelector(".bd-search-container input");
  field.focus();
  field.select();
})();
