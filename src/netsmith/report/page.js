(() => {
  "use strict";
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  document.body.append(tip);

  const show = (text, x, y) => {
    tip.textContent = text;
    tip.hidden = false;
    const box = tip.getBoundingClientRect();
    const left = Math.min(Math.max(8, x - box.width / 2), document.documentElement.clientWidth - box.width - 8);
    const top = y - box.height - 14 < 4 ? y + 18 : y - box.height - 14;
    tip.style.left = `${left}px`;
    tip.style.top = `${top}px`;
  };

  for (const charts of document.querySelectorAll("[data-where]")) {
    const where = charts.dataset.where.split("\n");
    const plots = [...charts.querySelectorAll("[data-values]")];
    const values = plots.map((plot) => plot.dataset.values.split("\n"));
    const rules = plots.map((plot) => {
      const rule = document.createElement("i");
      rule.className = "rule";
      rule.hidden = true;
      plot.append(rule);
      return rule;
    });
    plots.forEach((plot, k) => {
      plot.addEventListener("pointermove", (event) => {
        const box = plot.getBoundingClientRect();
        const share = (event.clientX - box.left) / box.width;
        const step = Math.min(where.length - 1, Math.max(0, Math.floor(share * where.length)));
        for (const rule of rules) {
          rule.hidden = false;
          rule.style.left = `${(100 * (step + 0.5)) / where.length}%`;
        }
        show(`${where[step]}: ${values[k][step]}`, event.clientX, event.clientY);
      });
      plot.addEventListener("pointerleave", () => {
        tip.hidden = true;
        for (const rule of rules) rule.hidden = true;
      });
    });
  }

  document.addEventListener("pointerover", (event) => {
    const target = event.target.closest("[data-tip]");
    if (target) show(target.dataset.tip, event.clientX, event.clientY);
    else if (!event.target.closest("[data-values]")) tip.hidden = true;
  });
})();
