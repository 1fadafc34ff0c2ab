() => {
  document.documentElement.lang = "en";

  // Gradio shows errors of queued events only; errors of calls outside the queue are shown here.
  const notice = document.createElement("div");
  notice.id = "notice";
  notice.setAttribute("role", "alert");
  document.body.append(notice);
  let noticeTimer = 0;
  const showNotice = (message, kind = "error") => {
    clearTimeout(noticeTimer);
    noticeTimer = setTimeout(() => notice.replaceChildren(), kind === "error" ? 10_000 : 4_000);
    if (notice.firstChild?.textContent === message) return;
    notice.className = kind;
    const text = document.createElement("span");
    text.textContent = message;
    const close = document.createElement("button");
    close.type = "button";
    close.ariaLabel = "Close";
    close.textContent = "×";
    close.addEventListener("click", () => notice.replaceChildren());
    notice.replaceChildren(text, close);
  };
  document.addEventListener("herding:notice", ({ detail }) => showNotice(detail.message, detail.kind));
  const htmlToText = (html) => new DOMParser().parseFromString(html, "text/html").body.textContent;
  const UNREACHABLE = "Can't reach Herding. Your last action may be lost; try again in a moment.";

  // After the session has ended, every call is refused with 401; view.js leads to the login page.
  const plainFetch = window.fetch.bind(window);
  window.fetch = async (...args) => {
    const { origin, pathname } = new URL(args[0]?.url ?? args[0], location.href);
    const ours = origin === location.origin && pathname.includes("/gradio_api/");
    const unqueued = ours && pathname.includes("/gradio_api/run/");
    let response;
    try {
      response = await (isRetried(args) ? fetchWithRetry(...args) : plainFetch(...args));
    } catch (error) {
      if (unqueued && error.name !== "AbortError") showNotice(UNREACHABLE);
      throw error;
    }
    if (response.status === 401 && ours) document.dispatchEvent(new Event("herding:ended"));
    else if (unqueued && !response.ok) {
      const body = await response.clone().json().catch(() => ({}));
      const message = body.error?.message ?? body.error;
      showNotice(typeof message === "string" ? htmlToText(message) : `Server error ${response.status}.`);
    }
    return response;
  };

  // While the app restarts or the network is down, the update of the header is retried: an event that fails would end all
  // others, and Gradio would reload the page without the text. It may arrive twice.
  const RETRIED = "follow";
  const isRetried = ([url, options]) => {
    if (options?.method !== "POST" || !String(url?.href ?? url).includes("/gradio_api/run/")) return false;
    const number = /"fn_index":\s*(\d+)/.exec(String(options.body).slice(-2_000))?.[1];
    return window.gradio_config?.dependencies?.find(({ id }) => String(id) === number)?.api_name === RETRIED;
  };
  const isProxyError = ({ status, headers }) => [502, 503, 504].includes(status) && !/json/.test(headers.get("content-type"));
  const fetchWithRetry = async (...args) => {
    for (let failed = false; ; failed = true) {
      try {
        const response = await plainFetch(...args);
        if (isProxyError(response)) throw new TypeError("away");
        if (failed) setTimeout(reloadAfterOutage, 1_500);
        return response;
      } catch (error) {
        if (error.name === "AbortError") throw error;
        showOutage();
        await new Promise((next) => setTimeout(next, 1_000));
      }
    }
  };
  const showOutage = () => {
    if (document.getElementById("away")) return;
    const body = document.createElement("div");
    body.id = "away";
    body.className = "panel warn";
    body.setAttribute("role", "alert");
    body.textContent = "Connection lost. Keep this page open: your changes are saved once it is back.";
    document.body.append(body);
  };
  document.addEventListener("herding:outage", showOutage);
  // A restarted app does not know this page: reload it once the edits are saved.
  const reloadAfterOutage = async () => {
    const response = await plainFetch("gradio_api/app_id").catch(() => null);
    const known = response?.ok && String((await response.json()).app_id) === String(window.gradio_config?.app_id);
    if (known) document.getElementById("away")?.remove();
    else if (document.querySelector("[data-unsaved]") || !response?.ok) setTimeout(reloadAfterOutage, 500);
    else location.reload();
  };

  // Times are sent in UTC; show them in the user's time zone.
  const full = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
  const day = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });
  const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "short" });
  const ofToday = (date) => date.toDateString() === new Date().toDateString();
  const formatFor = (form, date) => (form === "day" ? day : form === "clock" && ofToday(date) ? clock : full);
  const localize = (root) =>
    root.querySelectorAll("time[datetime]:not([data-local])").forEach((time) => {
      time.dataset.local = "";
      time.title ||= time.textContent;
      const date = new Date(time.dateTime);
      time.textContent = formatFor(time.dataset.form, date).format(date);
    });
  new MutationObserver(() => {
    localize(document.body); // a list that renders again may keep its elements and lose only our text in them
  }).observe(document.body, { childList: true, characterData: true, subtree: true });
  localize(document.body);
}
