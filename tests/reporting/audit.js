// Return what is wrong with the layout of a report as it stands, one line each.
(() => {
  const faults = [];
  const name = (element) => (element.textContent || "").trim().replace(/\s+/g, " ").slice(0, 50);
  const visible = (element) => {
    const box = element.getBoundingClientRect();
    return box.width > 0 && box.height > 0 && element.checkVisibility({ opacityProperty: true, visibilityProperty: true });
  };

  // 1. Nothing makes the page wider than the window; only tables scroll, and they say so.
  const room = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth > room) faults.push(`the page is ${document.documentElement.scrollWidth} wide`);
  for (const element of document.querySelectorAll("main *, nav *")) {
    if (element.closest(".table, svg, .skip") || !visible(element)) continue;
    if (element.getBoundingClientRect().right > room + 0.5) faults.push(`beyond the window: ${name(element)}`);
    if (element.closest(".modebar, .figure")) continue;
    if (element.scrollWidth > element.clientWidth + 1 && element.clientWidth && getComputedStyle(element).display !== "inline")
      faults.push(`wider than its place: ${element.className} ${name(element)}`);
  }
  for (const table of document.querySelectorAll(".table")) {
    if (!visible(table)) continue;
    const scrolls = table.scrollWidth > table.clientWidth + 1;
    if (scrolls !== table.classList.contains("scrolls")) faults.push(`no cue that it scrolls: ${name(table)}`);
    if (!scrolls) continue;
    const first = table.querySelector("tbody th"), left = first.getBoundingClientRect().left;
    table.scrollLeft = 60;
    if (Math.abs(first.getBoundingClientRect().left - left) > 1) faults.push(`first column moves: ${name(table)}`);
    table.scrollLeft = 0;
    if (first.getBoundingClientRect().width > 0.5 * table.clientWidth) faults.push(`first column too wide: ${name(table)}`);
  }

  // 2. No text of a chart is cut at the edge of its drawing, and none lies on another.
  for (const figure of document.querySelectorAll("[data-figure]")) {
    const label = figure.getAttribute("aria-label");
    const edge = figure.getBoundingClientRect();
    const texts = [...figure.querySelectorAll(".main-svg text")].filter((text) => name(text) && visible(text));
    if (!texts.length) faults.push(`${label} has no text`);
    const boxes = texts.map((text) => text.getBoundingClientRect());
    boxes.forEach((box, at) => {
      if (box.left < edge.left - 1 || box.right > edge.right + 1 || box.top < edge.top - 1 || box.bottom > edge.bottom + 1)
        faults.push(`${label} cut: ${name(texts[at])}`);
      boxes.slice(at + 1).forEach((other, index) => {
        const across = Math.min(box.right, other.right) - Math.max(box.left, other.left);
        const down = Math.min(box.bottom, other.bottom) - Math.max(box.top, other.top);
        // The box of a text has room above and below its letters.
        if (across > 1 && down > 4) faults.push(`${label} overlap: ${name(texts[at])} | ${name(texts[at + 1 + index])}`);
      });
    });
    const plot = figure._fullLayout._size;
    if (plot.w < 0.4 * edge.width || plot.h < 60) faults.push(`${label} squeezed: ${Math.round(plot.w)} x ${Math.round(plot.h)}`);
  }

  // 3. No figure of a card is broken in two or cut.
  for (const value of document.querySelectorAll(".card .value")) {
    const range = document.createRange();
    range.selectNodeContents(value);
    const lines = new Set([...range.getClientRects()].map((box) => Math.round(box.top)));
    if (lines.size > 1) faults.push(`card in ${lines.size} lines: ${name(value)}`);
    if (range.getBoundingClientRect().right > value.getBoundingClientRect().right + 0.5) faults.push(`card cut: ${name(value)}`);
  }

  // 4. Text has the contrast of WCAG AA against what lies behind it: 4.5, and 3 for large text.
  const parse = (colour) => (colour.match(/[\d.]+/g) || [0, 0, 0, 0]).map(Number);
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour.length < 4 || colour[3] > 0.5) return colour;
    }
    return [255, 255, 255];
  };
  const contrast = (one, other) => {
    const [a, b] = [light(one), light(other)].sort((x, y) => y - x);
    return (a + 0.05) / (b + 0.05);
  };
  const seen = new Set();
  const check = (element, colour, behind, size) => {
    const found = contrast(parse(colour), behind), least = size >= 24 ? 3 : 4.5;
    const line = `contrast ${found.toFixed(1)}: ${colour} on ${behind.slice(0, 3)}: ${name(element)}`;
    if (found < least && !seen.has(colour + behind)) { seen.add(colour + behind); faults.push(line); }
  };
  for (const element of document.querySelectorAll("main *, nav *")) {
    if (element.closest("svg") || !visible(element)) continue;
    if (![...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim())) continue;
    check(element, getComputedStyle(element).color, ground(element), parseFloat(getComputedStyle(element).fontSize));
  }
  for (const text of document.querySelectorAll(".main-svg text")) {
    if (!visible(text)) continue;
    const bar = text.classList.contains("bartext-inside") && text.closest(".point").querySelector("path");
    const behind = bar ? parse(getComputedStyle(bar).fill) : ground(text.closest(".figure"));
    check(text, getComputedStyle(text).fill, behind, parseFloat(getComputedStyle(text).fontSize));
  }
  return faults;
})();
