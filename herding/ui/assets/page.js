() => {
  document.documentElement.lang = "en";

  // Gradio shows what goes wrong in its queue only; what goes wrong in a call beside the queue is told here.
  const notice = document.createElement("div");
  notice.id = "notice";
  notice.setAttribute("role", "alert");
  document.body.append(notice);
  let noticeEnds = 0;
  const warn = (words) => {
    clearTimeout(noticeEnds);
    noticeEnds = setTimeout(() => notice.replaceChildren(), 10_000);
    if (notice.firstChild?.textContent === words) return;
    const said = document.createElement("span");
    said.textContent = words;
    const close = document.createElement("button");
    close.type = "button";
    close.ariaLabel = "Close";
    close.textContent = "×";
    close.addEventListener("click", () => notice.replaceChildren());
    notice.replaceChildren(said, close);
  };
  const plain = (html) => new DOMParser().parseFromString(html, "text/html").body.textContent;
  const AWAY = "Herding cannot be reached. What you did last may be lost: try it again in a moment.";

  // Once the session is over, every call of the page is refused with 401: nothing here works until one logs in again.
  const plainFetch = window.fetch.bind(window);
  window.fetch = async (...asked) => {
    const { origin, pathname } = new URL(asked[0]?.url ?? asked[0], location.href);
    const own = origin === location.origin && pathname.includes("/gradio_api/");
    const beside = own && pathname.includes("/gradio_api/run/");
    let answer;
    try {
      answer = await (eventOf(asked) ? throughOutage(...asked) : plainFetch(...asked));
    } catch (error) {
      if (beside && error.name !== "AbortError") warn(AWAY);
      throw error;
    }
    if (answer.status === 401 && own) location.assign("login?ended=1");
    else if (beside && !answer.ok) {
      const told = await answer.clone().json().catch(() => ({}));
      const words = told.error?.message ?? told.error;
      warn(typeof words === "string" ? plain(words) : `The server answered with ${answer.status}.`);
    }
    return answer;
  };

  // While the app is away (it starts anew, or the network is down), what is typed waits for it: an event that failed would
  // end all others of the page, and the framework would load the page anew without the text. These events may come twice.
  const WAITS = /^(edited|refit_\d+|calls_again_\d+|follow|follow_engineer|watch|watch_on|version_watch|usage_look)$/;
  let typedAt = 0;
  let sentAt = 0;
  const eventOf = ([url, options]) => {
    if (options?.method !== "POST" || !String(url?.href ?? url).includes("/gradio_api/run/")) return "";
    const number = /"fn_index":\s*(\d+)/.exec(String(options.body).slice(-2_000))?.[1];
    const name = window.gradio_config?.dependencies?.find(({ id }) => String(id) === number)?.api_name ?? "";
    return WAITS.test(name) ? name : "";
  };
  const isProxys = ({ status, headers }) => [502, 503, 504].includes(status) && !/json/.test(headers.get("content-type"));
  const throughOutage = async (...asked) => {
    const begun = Date.now();
    for (let away = false; ; away = true) {
      try {
        const answer = await plainFetch(...asked);
        if (isProxys(answer)) throw new TypeError("away");
        if (answer.ok && eventOf(asked) === "edited") sentAt = Math.max(sentAt, begun);
        if (away) setTimeout(goOn, 1_500);
        return answer;
      } catch (error) {
        if (error.name === "AbortError") throw error;
        tellAway();
        await new Promise((next) => setTimeout(next, 1_000));
      }
    }
  };
  const tellAway = () => {
    if (document.getElementById("away")) return;
    const told = document.createElement("div");
    told.id = "away";
    told.className = "panel warn";
    told.setAttribute("role", "alert");
    told.textContent = "The app does not answer. Leave this page open: what you type is kept as soon as it is back.";
    document.body.append(told);
  };
  // An app that was started anew knows nothing of this page; once it has what was typed, the page is loaded anew.
  const goOn = async () => {
    const answer = await plainFetch("gradio_api/app_id").catch(() => null);
    const known = answer?.ok && String((await answer.json()).app_id) === String(window.gradio_config?.app_id);
    if (known) document.getElementById("away")?.remove();
    else if (typedAt > sentAt || Date.now() < typedAt + 1_500 || !answer?.ok) setTimeout(goOn, 500);
    else location.reload();
  };

  // Ctrl + Enter (or Cmd + Enter) runs the prompt, or all columns, from anywhere in the tab.
  document.addEventListener(
    "keydown",
    (event) => {
      if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || event.isComposing) return;
      const seen = (button) => button.offsetParent !== null && !button.disabled;
      const run = [...document.querySelectorAll("#run, #compare-run")].find(seen);
      if (!run) return;
      event.preventDefault();
      event.stopPropagation();
      // A field tells its value when it loses focus at the latest.
      setTimeout(() => run.click(), 60);
    },
    true,
  );

  // What is typed or pasted into the form is told after a moment's rest, after half a second of typing without one, and
  // at the latest when the field is left.
  const typing = "#variables, #template, #parameters-section";
  const isTyped = (field) => field.closest?.(typing) && field.matches("textarea, input:not([role], [type=checkbox]), .cm-content");
  let rest = 0;
  let since = 0;
  const tell = () => {
    if (!rest) return;
    clearTimeout(rest);
    rest = 0;
    document.querySelector("#form-typed")?.click();
  };
  const typed = (event) => {
    if (!isTyped(event.target)) return;
    typedAt = Date.now();
    if (!rest) since = typedAt;
    clearTimeout(rest);
    rest = setTimeout(tell, Math.max(0, Math.min(250, since + 500 - Date.now())));
  };
  document.addEventListener("input", typed);
  // The code editor does many keys, and the clipboard, by itself: no input event tells of them.
  const idle = /^(Arrow|Page|Home|End|Shift|Control|Alt|Meta|Escape|Caps)/;
  const inCode = (event) => {
    if (event.target.matches?.(".cm-content") && !idle.test(event.key ?? "")) typed(event);
  };
  for (const kind of ["keydown", "paste", "cut", "drop"]) document.addEventListener(kind, inCode, true);
  document.addEventListener("focusout", tell);

  // A click into a picker selects what is in it, so that typing searches at once.
  document.addEventListener("focusin", (event) => {
    if (event.target.matches?.("input[role=combobox]")) event.target.select();
  });

  // A chat stays at its newest turn, unless the reader scrolled up.
  document.addEventListener(
    "scroll",
    ({ target: box }) => {
      if (box.id === "answer-chat") box.dataset.up = box.scrollHeight - box.scrollTop - box.clientHeight > 80 ? "1" : "";
    },
    true,
  );
  const follow = (node) => {
    const box = node.closest?.("#answer-chat");
    if (box && !box.dataset.up) box.scrollTop = box.scrollHeight;
  };

  // An answer can be reached and scrolled with the keyboard: read-only rather than disabled. Its label would name the
  // button that copies, which stands before it. The list of a picker is no stop of its own.
  const unlock = () =>
    document.querySelectorAll(":is(#answer, .column-response) textarea:disabled").forEach((area) => {
      area.disabled = false;
      area.readOnly = true;
      area.ariaLabel = area.closest("label")?.querySelector("[data-testid=block-info]")?.textContent.trim() ?? "";
    });
  // In a code editor Tab indents: whoever has no mouse must know the way out of it.
  const wayOut = () =>
    document.querySelectorAll(".cm-content:not([data-told])").forEach((editor) => {
      editor.dataset.told = "";
      editor.ariaLabel = `${editor.ariaLabel ?? "Code"}. Escape, then Tab, leaves the editor.`;
    });
  const skipLists = () => document.querySelectorAll("ul[role=listbox]:not([tabindex])").forEach((list) => (list.tabIndex = -1));

  // How tall the answer's side is, so that it can stay in sight beside a long form.
  const measure = new ResizeObserver(([{ target, borderBoxSize }]) => {
    target.style.setProperty("--tall", `${borderBoxSize[0].blockSize}px`);
  });
  const measured = new WeakSet();
  const watchAnswer = () => {
    const side = document.querySelector(".bench-answer");
    if (!side || measured.has(side)) return;
    measured.add(side);
    measure.observe(side);
  };

  // Times are written in UTC; show them in the reader's own zone.
  const full = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
  const day = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });
  const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "short" });
  const ofToday = (date) => date.toDateString() === new Date().toDateString();
  const formOf = (form, date) => (form === "day" ? day : form === "clock" && ofToday(date) ? clock : full);
  const localise = (root) =>
    root.querySelectorAll("time[datetime]:not([data-local])").forEach((time) => {
      time.dataset.local = "";
      time.title ||= time.textContent;
      const date = new Date(time.dateTime);
      time.textContent = formOf(time.dataset.form, date).format(date);
    });
  new MutationObserver((changes) => {
    changes.forEach((change) => follow(change.target));
    localise(document.body); // a list that is drawn again may keep its elements and lose only our words in them
    unlock();
    skipLists();
    wayOut();
    watchAnswer();
  }).observe(document.body, { childList: true, characterData: true, subtree: true });
  localise(document.body);
}
