/* Brings the book's figures to life on a static page.
 *
 * A figure is an anywidget: a JavaScript module that draws from a model's values. In JupyterLab
 * the model talks to Python. Here it is a plain object, filled from the state that the build
 * stores in the page; the module lies in a file for each figure, figures/NAME.js. All of these
 * are classic scripts, because browsers refuse module files from file://.
 */
var mamlFigures = {}; // filled by the files of the figures

(() => {
  "use strict";

  const own = /** @type {HTMLScriptElement} */ (document.currentScript); // known only now
  const STATE = 'script[type="application/vnd.jupyter.widget-state+json"]';

  /** Base64 text as the DataView that anywidget hands to a module for a Bytes trait. */
  function decode(text) {
    return new DataView(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);
  }

  /** A model's values, with its binary buffers back in their places. */
  function valuesOf({ state, buffers = [] }) {
    const values = structuredClone(state);
    for (const { path, data } of buffers) {
      const holder = path.slice(0, -1).reduce((value, key) => value[key], values);
      holder[path.at(-1)] = decode(data);
    }
    return values;
  }

  /** Named events with any number of listeners each. */
  function makeEvents() {
    const listeners = new Map();
    return {
      on(names, callback) {
        for (const name of names.split(/\s+/)) {
          listeners.set(name, [...(listeners.get(name) ?? []), callback]);
        }
      },
      off(names, callback) {
        for (const name of names?.split(/\s+/) ?? [...listeners.keys()]) {
          const kept = (listeners.get(name) ?? []).filter((each) => callback && each !== callback);
          listeners.set(name, kept);
        }
      },
      emit(name, ...details) {
        for (const callback of listeners.get(name) ?? []) callback(...details);
      },
    };
  }

  /** What a module sees as `model`: anywidget's interface, with no kernel behind it. */
  function makeModel(record) {
    const values = valuesOf(record);
    const { on, off, emit } = makeEvents();
    const model = {
      get: (name) => values[name],
      set(name, value) {
        const changes = typeof name === "object" ? name : { [name]: value };
        const changed = Object.keys(changes).filter((key) => values[key] !== changes[key]);
        Object.assign(values, changes);
        for (const key of changed) emit(`change:${key}`, model, values[key]);
        if (changed.length) emit("change", model);
      },
      on,
      off,
      save_changes() {},
      send() {},
      widget_manager: {
        get_model: () => Promise.reject(new Error("there is no kernel on this page")),
      },
    };
    return model;
  }

  /** The module's default export; Blob URLs, unlike files, may be imported from file://. */
  async function importModule(source) {
    const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
    try {
      const { default: exported } = await import(url);
      return typeof exported === "function" ? await exported() : exported;
    } finally {
      URL.revokeObjectURL(url);
    }
  }

  /** Calls `make` once per key and hands out the same answer afterwards. */
  function once(make) {
    const made = new Map();
    return (key) => {
      if (!made.has(key)) made.set(key, make(key));
      return made.get(key);
    };
  }

  /** The code of a figure, from its file. */
  const loadCode = once((name) => new Promise((done, fail) => {
    const script = document.createElement("script");
    script.src = new URL(`figures/${name}.js?v=${own.dataset.figures}`, own.src).href;
    script.onload = () => done(mamlFigures[name]);
    script.onerror = () => fail(new Error(`no file ${script.src}`));
    document.head.append(script);
  }));

  const addStyle = once((css) => {
    const style = document.createElement("style");
    style.textContent = css;
    document.head.append(style);
  });

  function showFailure(mount, error) {
    const note = document.createElement("p");
    note.className = "figure-note";
    note.setAttribute("role", "alert");
    note.textContent = `This figure could not start (${error.message ?? error}).`;
    mount.replaceChildren(note);
    mount.dataset.failed = "";
    console.error(error);
  }

  /** Draws each figure once: as the reader comes within a window's height of it, or on paper. */
  function drawWhenNear(mounts, draw) {
    const waiting = new Set(mounts);
    const meet = (mount) => waiting.delete(mount) && draw(mount);
    const near = new IntersectionObserver(
      (entries) => entries.forEach(({ isIntersecting, target }) => isIntersecting && meet(target)),
      { rootMargin: "100% 0%" },
    );
    mounts.forEach((mount) => near.observe(mount));
    // A jump into a part that was not laid out may pass the observer by: it is asked anew.
    const askAgain = () => {
      for (const mount of waiting) {
        near.unobserve(mount);
        near.observe(mount);
      }
    };
    document.addEventListener("contentvisibilityautostatechange", askAgain, true);
    addEventListener("beforeprint", () => mounts.forEach(meet));
  }

  function start(records) {
    const loadModule = once(importModule);
    const prepare = once(async (id) => {
      const { state } = records[id];
      if (!state._esm) Object.assign(state, await loadCode(state.figure));
      if (state._css) addStyle(state._css);
      const widget = await loadModule(state._esm);
      const model = makeModel(records[id]);
      await widget.initialize?.({ model });
      return { model, widget };
    });

    async function draw(mount) {
      try {
        const { model, widget } = await prepare(mount.dataset.modelId);
        await widget.render?.({ model, el: mount });
        mount.dataset.ready = "";
      } catch (error) {
        showFailure(mount, error);
      }
    }

    drawWhenNear([...document.querySelectorAll(".figure-mount")], draw);
  }

  // Loaded with `defer`: the page is parsed, so nothing needs to be waited for.
  const embedded = document.querySelector(STATE);
  if (embedded) start(JSON.parse(embedded.textContent).state);
})();
