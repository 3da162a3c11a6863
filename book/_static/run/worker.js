/* Python itself, in a worker of its own, so that the page stays alive and can stop it.
 *
 * The worker is made from the text of `inWorker`, because workers do not load from file://. It
 * gets verified files and never asks the network for anything.
 */
(() => {
  "use strict";

  function inWorker() {
    const scope = /** @type {any} */ (globalThis);
    const PLACE = "https://pyodide.invalid/"; // a name only: every request is answered below
    const HOME = "/home/pyodide";
    const decode = (base64) => Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
    let runner;

    /** Answers Pyodide's requests from the files at hand. */
    function answerFrom(files) {
      scope.fetch = async (request) => {
        const name = String(request.url ?? request).split("/").pop();
        if (!(name in files)) throw new TypeError(`Python inside the page has no network: ${name}`);
        const type = name.endsWith(".wasm") ? "application/wasm" : "application/octet-stream";
        return new Response(files[name], { headers: { "Content-Type": type } });
      };
    }

    function runScript(bytes) {
      scope.importScripts(URL.createObjectURL(new Blob([bytes], { type: "text/javascript" })));
    }

    async function start({ files, lock, packages, zip }) {
      answerFrom({ ...files, "pyodide-lock.json": JSON.stringify(lock) });
      runScript(files["pyodide.js"]);
      runScript(files["pyodide.asm.js"]);
      const env = { HOME, MPLBACKEND: "module://page_backend" };
      const python = await scope.loadPyodide({ indexURL: PLACE, env });
      const trouble = [];
      const quiet = { messageCallback() {}, errorCallback: (text) => trouble.push(text), checkIntegrity: false };
      await python.loadPackage(packages, quiet);
      if (trouble.length) throw new Error(trouble.join("; "));
      python.unpackArchive(decode(zip), "zip", { extractDir: HOME });
      python.runPython(`import os, sys; os.chdir("${HOME}"); sys.path.insert(0, "${HOME}")`);
      runner = python.pyimport("cell_runner");
    }

    function run({ source, name }) {
      return runner.run(source, name, (kind, data) => scope.postMessage({ kind, data }));
    }

    scope.onmessage = async ({ data }) => {
      const { task, ...given } = data;
      const details = /** @type {any} */ (given);
      try {
        const answer = await (task === "start" ? start(details) : run(details));
        scope.postMessage({ kind: "done", data: answer });
      } catch (error) {
        scope.postMessage({ kind: "failed", data: String(error.message ?? error) });
      }
    };
  }

  /** A Python in its worker: `ready` (a promise), `run(source, name, show)` and `stop(reason)`. */
  function startPython(files, chapter, shared) {
    const url = URL.createObjectURL(new Blob([`(${inWorker})()`], { type: "text/javascript" }));
    const worker = new Worker(url);
    let giveUp = (/** @type {Error} */ reason) => {};

    const ask = (message, show = (kind, data) => {}) =>
      new Promise((resolve, reject) => {
        giveUp = reject;
        worker.onerror = (event) => reject(new Error(event.message || "the worker did not start"));
        worker.onmessage = ({ data: { kind, data } }) => {
          if (kind === "done") resolve(data);
          else if (kind === "failed") reject(new Error(data));
          else show(kind, data);
        };
        worker.postMessage(message);
      });

    const stop = (reason) => {
      worker.terminate();
      giveUp(reason);
    };
    return {
      ready: ask({ task: "start", files, packages: chapter.packages, zip: shared.package, lock: shared.pins.lock }),
      run: (source, name, show) => ask({ task: "run", source, name }, show),
      stop,
    };
  }

  Object.assign(window["runPage"], { startPython });
})();
