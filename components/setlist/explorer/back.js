// The browser's "back" leads to the view before. Streamlit writes a changed control into the address
// in place of the former one; here the first change after each act of the visitor makes a new entry.
// What changes without an act, as when a page opens, makes none.
(() => {
  if (window.setlistBack) return;
  window.setlistBack = true;
  let acted = false;
  let shown = location.search;
  for (const kind of ["pointerdown", "keydown"])
    window.addEventListener(kind, () => { acted = true; }, true);
  const push = history.pushState.bind(history);
  const replace = history.replaceState.bind(history);
  history.pushState = history.replaceState = (state, title, url) => {
    const target = new URL(url ?? location.href, location.href);
    const write = acted && target.search !== location.search ? push : replace;
    if (write === push) acted = false;
    write(state, title, url);
    shown = location.search;
  };
  // The address holds the whole view, and a page that opens with it shows it. One without a run is
  // that of a page that was about to open: before this script ran, Streamlit has added the run.
  window.addEventListener("popstate", () => {
    if (!new URLSearchParams(location.search).has("run")) history.back();
    else if (location.search !== shown) location.reload();
  });
})();
