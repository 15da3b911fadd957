// Runs before anything is painted, so that a kept choice of colours does not flash past the other.
(function () {
  "use strict";
  const dark_system = window.matchMedia("(prefers-color-scheme: dark)");
  const papers = { light: "#eef1ec", dark: "#101715" };

  function kept() {
    try {
      const theme = localStorage.getItem("bobby.theme");
      return theme === "light" || theme === "dark" ? theme : null;
    } catch {
      return null;
    }
  }

  function apply(theme) {
    document.documentElement.dataset.theme = theme;
    document.querySelector('meta[name="theme-color"]').setAttribute("content", papers[theme]);
    document.dispatchEvent(new CustomEvent("bobby:theme", { detail: theme }));
  }

  const system = () => (dark_system.matches ? "dark" : "light");
  apply(kept() ?? system());
  dark_system.addEventListener("change", () => {
    if (kept() === null) apply(system());
  });

  // The page's toggle calls this; what equals the system's choice need not be kept.
  window.bobbyTheme = {
    current: () => document.documentElement.dataset.theme,
    choose(theme) {
      try {
        if (theme === system()) localStorage.removeItem("bobby.theme");
        else localStorage.setItem("bobby.theme", theme);
      } catch {
        // Without storage the choice holds until the page is left.
      }
      apply(theme);
    },
  };
})();
