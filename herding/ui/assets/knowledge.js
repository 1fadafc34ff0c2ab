// Asks a model over a collection and shows its response where the results of a search are shown.

import { notify } from "./view.js";
import { Stream } from "./stream.js";

const URL_STOP = "ui/engineer/stop";

export const start = (form) => {
  const ask = form.querySelector("[data-ask]");
  const stop = form.querySelector("#knowledge-stop");
  let stream = null;
  ask?.addEventListener("click", async () => {
    if (stream || !form.reportValidity()) return;
    const body = new FormData(form);
    const box = document.createElement("div");
    const status = document.createElement("div");
    document.getElementById("knowledge-found").replaceChildren(status, box);
    stream = new Stream(box, status);
    ask.disabled = true;
    stop.hidden = false;
    try {
      await stream.run(ask.dataset.ask, body);
    } catch (error) {
      if (!stream.stopped) notify(error.message, "error");
    } finally {
      stream = null;
      ask.disabled = false;
      stop.hidden = true;
    }
  });
  stop?.addEventListener("click", () => stream?.stop(URL_STOP));
};
