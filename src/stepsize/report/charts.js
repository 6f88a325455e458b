"use strict";
// Turns every picture that brings its numbers into a chart by uPlot: values under the pointer, lines to be hidden, log axes.
{
  const INK = "#1a1a1a", GRID = "#e3e6ea", NONE = "–", FONT = "12px system-ui, sans-serif", WIDE = 640;

  function element(parent, tag, properties) {
    return parent.appendChild(Object.assign(document.createElement(tag), properties));
  }

  const written = value => value == null ? "" : String(Number(value.toPrecision(4)));

  // Round numbers between two bounds; on a logarithmic axis decades, and what lies inside a few of them.
  function ticks(low, high, log) {
    for (const subs of log ? [[1], [1, 2, 5], [1, 2, 3, 4, 5, 6, 8]] : []) {
      const found = [];
      for (let e = Math.floor(Math.log10(low)); e <= Math.log10(high); e++) found.push(...subs.map(sub => Number(`${sub}e${e}`)));
      const inside = found.filter(value => low <= value && value <= high);
      if (inside.length > 2) return inside;
    }
    const rough = (high - low) / 4, size = 10 ** Math.floor(Math.log10(rough));
    const step = size * [1, 2, 5, 10].find(sub => size * sub >= 0.999 * rough);
    const first = Math.ceil(low / step);
    return Array.from({ length: Math.floor(high / step) - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(10)));
  }

  // The number of a column at index i of x: a score holds until the next, a row has one of its own.
  function at(column, mark, i) {
    if (mark === "mean" || mark === "low" || mark === "high") return column.find(value => value != null);
    while (mark === "dots" && i > 0 && column[i] == null) i--;
    return column[i];
  }

  class View {
    constructor(card) {
      this.chart = JSON.parse(card.dataset.chart);
      this.card = card;
      this.hidden = new Set();
      this.log = this.chart.log;
      this.box = element(card, "div", { className: "chart", tabIndex: 0 });
      this.box.setAttribute("role", "group");
      this.box.setAttribute("aria-label", card.querySelector("svg").getAttribute("aria-label") + ". The arrow keys move the cursor.");
      this.box.addEventListener("keydown", event => this.step(event));
      this.buttons();
      this.legend();
      this.draw();
      card.classList.add("live");
      card.removeAttribute("tabindex");
      new ResizeObserver(() => this.fit()).observe(card);
    }

    buttons() {
      const bar = element(this.card, "p", { className: "bar" });
      const button = (text, pressed, act) => {
        const made = element(bar, "button", { type: "button", textContent: text });
        const press = on => made.setAttribute("aria-pressed", on);
        press(pressed);
        made.addEventListener("click", () => press(act()));
      };
      if (this.chart.floor > 0) button("Logarithmic", this.log, () => { this.log = !this.log; this.draw(); return this.log; });
      button("As printed", false, () => this.card.classList.toggle("printed"));
      this.card.prepend(bar);
    }

    legend() {
      const { chart } = this;
      const frame = element(this.card, "div", { className: "legend" });
      const table = element(frame, "table", {});
      const head = element(element(table, "thead", {}), "tr", {});
      this.where = element(head, "th", { scope: "col", textContent: chart.x_name });
      for (const name of chart.heads) element(head, "th", { scope: "col", textContent: name });
      const body = element(table, "tbody", {});
      this.cells = chart.lines.map((line, i) => {
        const row = element(body, "tr", {});
        const button = element(element(row, "th", { scope: "row" }), "button", { type: "button" });
        const key = element(button, "span", { className: "key" });
        key.style.borderTop = `3px ${line.dash.length ? line.dash[0] < 3 ? "dotted" : "dashed" : "solid"} ${line.color}`;
        button.append(chart.names[i] ?? line.name);
        button.setAttribute("aria-pressed", true);
        button.addEventListener("click", () => this.toggle(i, button));
        return chart.heads.map(() => element(row, "td", { textContent: NONE }));
      });
    }

    toggle(i, button) {
      const shown = this.hidden.delete(i);
      if (!shown) this.hidden.add(i);
      button.setAttribute("aria-pressed", shown);
      this.draw();
    }

    // The lines that are shown decide on the axis.
    range() {
      const { chart } = this;
      const shown = chart.lines.filter((_, i) => !this.hidden.has(i));
      const lines = shown.length ? shown : chart.lines;
      let low = Math.min(...lines.map(line => line.low)), high = Math.max(...lines.map(line => line.high));
      if (this.log) {
        low = Math.max(low, chart.floor);
        const room = Math.max((high / low) ** 0.07, 1.02);
        return [low / room, high * room];
      }
      const room = 0.07 * Math.max(high - low, 1e-9 * Math.abs(high), 1e-12);
      return [low - room, high + room];
    }

    size() {
      const style = getComputedStyle(this.card);
      const width = this.card.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
      return { width: Math.max(width, 240), height: this.chart.names.length ? 70 + 26 * this.chart.x.length : 340 };
    }

    // A card that was folded has no width until it is opened, and the names of rows need room.
    fit() {
      if (this.size().width > WIDE === this.wide) this.plot.setSize(this.size());
      else this.draw();
    }

    draw() {
      const { chart } = this, side = chart.names.length > 0, wide = this.size().width > WIDE;
      this.wide = wide;
      const series = chart.lines.flatMap((line, i) => chart.marks.map(mark => ({
        label: line.name, stroke: line.color, width: 1.8, dash: line.dash, show: !this.hidden.has(i), spanGaps: true,
        paths: mark === "line" || mark === "both" ? undefined : () => null,
        points: { show: ["dots", "both", "mean"].includes(mark), size: side ? 9 : 7, fill: line.color },
      })));
      const x = { scale: "x", label: side ? undefined : chart.x_name, side: side ? 3 : 2, size: 44, values: side
        ? (_, splits) => splits.map(value => wide ? chart.names[value - 1] ?? "" : value)
        : (_, splits) => splits.map(written) };
      const round = (plot, axis, low, high) => ticks(low, high, plot.scales[plot.axes[axis].scale].distr === 3);
      const found = { splits: round, filter: (_, splits) => splits };
      if (chart.rates) Object.assign(x, found);
      if (side) Object.assign(x, { incrs: [1], space: 10, size: wide ? 20 + 7 * Math.max(...chart.names.map(name => name.length)) : 36 });
      const y = { scale: "y", label: chart.y_name, side: side ? 2 : 3, size: side ? 44 : 60, values: (_, splits) => splits.map(written), ...found };
      const shared = { stroke: INK, font: FONT, labelFont: FONT, labelSize: 18, grid: { stroke: GRID, width: 1 }, ticks: { stroke: GRID, width: 1 } };
      const scales = {
        x: { time: false, distr: chart.rates ? 3 : 1, ori: side ? 1 : 0, dir: side ? -1 : 1 },
        y: { distr: this.log ? 3 : 1, ori: side ? 0 : 1, range: () => this.range() },
      };
      const edges = [chart.x[0], chart.x.at(-1)];
      if (side) scales.x.range = [0.5, edges[1] + 0.5];
      if (chart.rates) scales.x.range = [edges[0] / 1.3, edges[1] * 1.3];
      this.plot?.destroy();
      this.plot = new uPlot({
        ...this.size(), scales, series: [{}, ...series], axes: [{ ...shared, ...x }, { ...shared, ...y }],
        legend: { show: false }, cursor: { drag: { x: false, y: false }, points: { size: 9 } },
        hooks: { draw: [plot => this.marks(plot)], setCursor: [plot => this.fill(plot.cursor.idx)] },
      }, [chart.x, ...chart.lines.flatMap(line => line.columns)], this.box);
      this.fill(null);
    }

    // Whiskers, and crosses for what diverged: uPlot has neither.
    marks(plot) {
      const { chart } = this, { ctx, bbox, scales } = plot;
      const clamp = value => Math.min(Math.max(value, scales.y.min), scales.y.max);
      const cross = chart.marks.indexOf("cross"), low = chart.marks.indexOf("low"), r = 4 * devicePixelRatio;
      ctx.save();
      ctx.lineWidth = 2 * devicePixelRatio;
      chart.lines.forEach((line, i) => {
        if (this.hidden.has(i)) return;
        ctx.strokeStyle = line.color;
        ctx.beginPath();
        chart.x.forEach((value, k) => {
          const across = Math.round(plot.valToPos(value, "x", true));
          if (low > 0 && line.columns[low][k] != null) {
            ctx.moveTo(plot.valToPos(clamp(line.columns[low][k]), "y", true), across);
            ctx.lineTo(plot.valToPos(clamp(line.columns[low + 1][k]), "y", true), across);
          }
          if (cross > 0 && line.columns[cross][k] != null) {
            const top = bbox.top + 2 * r;
            ctx.moveTo(across - r, top - r); ctx.lineTo(across + r, top + r);
            ctx.moveTo(across - r, top + r); ctx.lineTo(across + r, top - r);
          }
        });
        ctx.stroke();
      });
      ctx.restore();
    }

    fill(i) {
      const { chart } = this, side = chart.names.length > 0;
      this.where.textContent = i == null || side ? chart.x_name : `${chart.x_name} ${written(chart.rates ? chart.x[i] : Math.round(chart.x[i]))}`;
      this.cells.forEach((cells, line) => cells.forEach((cell, j) => {
        const value = i == null && !side ? null : at(chart.lines[line].columns[j], chart.marks[j], i ?? 0);
        cell.textContent = value == null ? NONE : chart.marks[j] === "cross" ? "yes" : written(value);
        cell.parentNode.classList.toggle("under", side && i === line);
      }));
    }

    step(event) {
      const way = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[event.key];
      if (!way) return;
      event.preventDefault();
      const { plot, chart } = this;
      const i = Math.min(Math.max((plot.cursor.idx ?? (way > 0 ? -1 : chart.x.length)) + way, 0), chart.x.length - 1);
      const along = plot.valToPos(chart.x[i], "x");
      plot.setCursor(chart.names.length ? { left: 5, top: along } : { left: along, top: 5 });
    }
  }

  for (const card of document.querySelectorAll("[data-chart]")) new View(card);
}
