/* The button "Run this page". Everything else is loaded when the reader presses it. */
(() => {
  "use strict";

  const here = /** @type {HTMLScriptElement} */ (document.currentScript).src;
  /** @type {HTMLElement} */
  const box = document.querySelector(".run-page[data-chapter]");
  if (!box) return;

  const button = box.querySelector("button");
  const { chapter, base, version } = box.dataset;
  /** @type {any} What the scripts that come later share. */
  const shared = { box, base: new URL(`../${base}`, here).href, inScripts: true, load };
  if (/^https?:/.test(base)) Object.assign(shared, { base, inScripts: false });
  Object.assign(window, { runPage: shared });

  /** A classic script: unlike files, they also load from file://. */
  function load(url) {
    return new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = url;
      script.async = false; // run in the order they are asked for, whichever arrives first
      script.onload = resolve;
      script.onerror = () => reject(new Error(`no answer from ${new URL(url).host || "this site"}`));
      document.head.append(script);
    });
  }

  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      const names = ["pins", "package", chapter, "files", "worker", "cells"];
      const urls = names.map((name) => new URL(`run/${name}.js?v=${version}`, here).href);
      if (!shared.start) await Promise.all(urls.map(load));
      await shared.start();
    } catch (error) {
      box.querySelector("[role=status]").textContent =
        `Python could not be loaded: ${error.message}. The page and its figures work without it.`;
    }
    button.disabled = false;
  });
})();
