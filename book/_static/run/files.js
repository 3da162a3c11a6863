/* The files of Python: fetched, counted, and refused unless their hashes are the pinned ones. */
(() => {
  "use strict";

  /** @type {any} */
  const shared = Object.assign(window["runPage"], { got });
  const SILENCE = 30_000; // milliseconds without a byte after which a server counts as absent

  const kept = new Map(); // verified files, so that starting again loads nothing
  const arrived = new Map(); // what the scripts of an offline site have handed over

  const host = () => new URL(shared.base).host || "this site";

  /** Called by each script of an offline site. */
  function got(name, base64) {
    arrived.set(name, base64);
  }

  async function fromScript(name, count) {
    await shared.load(`${shared.base}${name}.js`);
    const answer = await fetch(`data:application/octet-stream;base64,${arrived.get(name)}`);
    arrived.delete(name);
    const bytes = new Uint8Array(await answer.arrayBuffer());
    count(bytes.length);
    return bytes;
  }

  /** Where pages may not compute hashes (plain http), the browser checks the file by itself. */
  const options = (pin) => (globalThis.crypto?.subtle ? {} : { integrity: pin.integrity });

  async function fromServer(name, count, stop) {
    const silence = new AbortController();
    let timer = setTimeout(() => silence.abort(), SILENCE);
    const signal = AbortSignal.any([silence.signal, stop]);
    try {
      const answer = await fetch(shared.base + name, { ...options(shared.pins.files[name]), signal });
      if (!answer.ok) throw new Error(`${host()} answered ${answer.status} for ${name}`);
      const reader = answer.body.getReader();
      const parts = [];
      for (let part = await reader.read(); !part.done; part = await reader.read()) {
        clearTimeout(timer);
        timer = setTimeout(() => silence.abort(), SILENCE);
        parts.push(part.value);
        count(part.value.length);
      }
      return new Uint8Array(await new Blob(parts).arrayBuffer());
    } catch (error) {
      if (stop.aborted) throw stop.reason;
      const silent = error instanceof TypeError || silence.signal.aborted;
      throw silent ? new Error(`no answer from ${host()}`) : error;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Throws unless the bytes have the pinned hash. */
  async function check(name, bytes) {
    const pinned = shared.pins.files[name].integrity;
    if (!globalThis.crypto?.subtle) {
      if (shared.inScripts) throw new Error("its files can be checked on https, localhost or file: only");
      return;
    }
    const algorithm = { sha256: "SHA-256", sha384: "SHA-384" }[pinned.split("-")[0]];
    const hash = new Uint8Array(await crypto.subtle.digest(algorithm, bytes));
    if (btoa(String.fromCharCode(...hash)) !== pinned.slice(pinned.indexOf("-") + 1)) {
      throw new Error(`${name} from ${host()} is not the file this book was tested with`);
    }
  }

  async function one(name, count, stop) {
    if (kept.has(name)) return count(shared.pins.files[name].size);
    const bytes = await (shared.inScripts ? fromScript : fromServer)(name, count, stop);
    await check(name, bytes);
    kept.set(name, bytes);
  }

  /**
   * All files of a list, verified, by name.
   *
   * @param {string[]} names
   * @param {(loaded: number, total: number) => void} progress in bytes
   * @param {AbortSignal} stop
   */
  async function getFiles(names, progress, stop) {
    const total = names.reduce((sum, name) => sum + shared.pins.files[name].size, 0);
    const failed = new AbortController(); // one failure ends the other downloads
    let loaded = 0;
    const count = (bytes) => progress((loaded += bytes), total);
    try {
      const signal = AbortSignal.any([failed.signal, stop]);
      await Promise.all(names.map((name) => one(name, count, signal)));
    } catch (error) {
      failed.abort(error);
      throw error;
    }
    return Object.fromEntries(names.map((name) => [name, kept.get(name)]));
  }

  Object.assign(shared, { getFiles });
})();
