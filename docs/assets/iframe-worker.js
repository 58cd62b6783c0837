// Search from the files: a browser starts no Worker there, so a hidden frame of this page takes its place.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      const frame = document.createElement("iframe");
      frame.hidden = true;
      document.body.append(frame);
      this.inside = frame.contentWindow;
      const load = (address) =>
        new Promise((done, fail) => {
          const script = this.inside.document.createElement("script");
          script.src = address;
          script.onload = done;
          script.onerror = fail;
          this.inside.document.body.append(script);
        });
      this.inside.importScripts = async (...addresses) => {
        for (const address of addresses) await load(address);
      };
      this.inside.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }));
      this.loaded = load(url);
    }

    postMessage(data) {
      this.loaded.then(() => this.inside.dispatchEvent(new MessageEvent("message", { data })));
    }

    terminate() {
      this.inside.frameElement.remove();
    }
  };
}
