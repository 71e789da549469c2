// A page that could not be answered yet asks for the same link again: after growing, jittered delays, ten
// times at most, and in place of itself, so that the back button does not lead through all of the tries.
// Without this script the page still has its plain link.
//
// The tries are counted per link in sessionStorage, under a fingerprint of the link because the link holds
// a code, and forgotten after ten quiet minutes. Where storage is refused, the window's name keeps the
// count; where that is taken, nothing is tried, for what cannot be counted would never end.
(function () {
  "use strict";

  const MOST = 10; // tries
  const QUIET = 10 * 60 * 1000; // milliseconds after which the count starts anew
  const LONGEST = 60; // seconds, unless the server asks for more
  const PREFIX = "koubei-retry-";

  const box = document.getElementById("retry");
  const link = document.getElementById("retry-now");
  if (!box || !link || !/^https?:$/.test(link.protocol) || link.host !== location.host) {
    return;
  }
  const status = document.getElementById("retry-status");
  const seconds = document.getElementById("retry-seconds");
  const progress = document.getElementById("retry-progress");
  const note = document.getElementById("retry-note");

  // FNV-1a over the link. The mark of the arrival check is left out: it may change from try to try.
  function fingerprint(text) {
    let hash = 0x811c9dc5;
    for (let i = 0; i < text.length; i++) {
      hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
    }
    return (hash >>> 0).toString(16);
  }
  const key = PREFIX + fingerprint(link.pathname + link.search.replace(/([?&])arrived=[^&]*&?/, "$1"));

  function recall() {
    let kept = null;
    try {
      kept = sessionStorage.getItem(key);
    } catch (e) {
      // refused
    }
    if (kept === null && window.name.indexOf(key + "=") === 0) {
      kept = window.name.slice(key.length + 1);
    }
    const [tries, at] = (kept || "").split("@").map(Number);
    const age = Date.now() - at;
    return tries > 0 && age >= 0 && age < QUIET ? tries : 0;
  }

  function remember(tries) {
    const value = tries + "@" + Date.now();
    try {
      sessionStorage.setItem(key, value);
      return true;
    } catch (e) {
      // refused, or full
    }
    if (window.name !== "" && window.name.indexOf(PREFIX) !== 0) {
      return false;
    }
    window.name = key + "=" + value;
    return true;
  }

  function say(name, values) {
    return (box.getAttribute("data-" + name) || "").replace(/\{(\w+)\}/g, function (all, word) {
      return word in values ? values[word] : all;
    });
  }

  const tries = recall();
  const words = { n: tries + 1, max: MOST };

  if (tries >= MOST) {
    note.hidden = true;
    progress.hidden = true;
    box.hidden = false;
    setTimeout(function () {
      status.textContent = say("gave-up", words);
    }, 100);
    return;
  }
  if (!remember(tries)) {
    return;
  }

  const after = Math.max(1, Number(box.getAttribute("data-after")) || 0);
  const grown = Math.max(after, Math.min(after * Math.pow(1.6, tries), LONGEST));
  const total = grown * (1 + 0.4 * Math.random()) * 1000;
  const due = Date.now() + total;
  let timer = 0;

  function again() {
    location.replace(link.href);
  }

  function retry() {
    clearInterval(timer);
    seconds.textContent = "";
    if (navigator.onLine === false) {
      status.textContent = say("offline", words);
      window.addEventListener("online", retry, { once: true });
      return;
    }
    status.textContent = say("going", words);
    remember(tries + 1);
    again();
  }

  function tick() {
    const left = due - Date.now();
    if (left <= 0) {
      retry();
      return;
    }
    seconds.textContent = say("seconds", { s: Math.ceil(left / 1000) });
    progress.value = 1 - left / total;
  }

  link.addEventListener("click", function (event) {
    if (event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) {
      return;
    }
    event.preventDefault();
    clearInterval(timer);
    again();
  });

  // The live region is filled after it became visible, or screen readers miss it; the countdown beside it
  // is for the eye alone.
  box.hidden = false;
  setTimeout(function () {
    status.textContent = say("status", words);
  }, 100);
  timer = setInterval(tick, 250);
  tick();
})();
