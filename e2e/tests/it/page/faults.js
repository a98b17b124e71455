// What would keep people out of a page, as far as a program sees it: one line per fault.
(() => {
  const faults = [];
  const all = (selector) => [...document.querySelectorAll(selector)];
  const name = (element) => element.outerHTML.slice(0, 120);

  // Every field has a label, every link and button a name, every picture a text.
  for (const field of all("input:not([type=hidden]), select, textarea")) {
    if (!field.labels?.length && !field.getAttribute("aria-label")) faults.push(`no label: ${name(field)}`);
  }
  for (const control of all("a, button, summary")) {
    if (!control.textContent.trim() && !control.getAttribute("aria-label")) faults.push(`no name: ${name(control)}`);
  }
  for (const image of all("img")) if (!image.hasAttribute("alt")) faults.push(`no alt: ${name(image)}`);
  for (const drawing of all("svg")) {
    const isNamed = drawing.getAttribute("aria-hidden") === "true" || drawing.getAttribute("aria-label") || drawing.querySelector("title");
    if (!isNamed) faults.push(`a drawing without a name: ${name(drawing)}`);
  }
  for (const attribute of ["aria-describedby", "aria-labelledby"]) {
    for (const element of all(`[${attribute}]`)) {
      for (const id of element.getAttribute(attribute).split(" ")) {
        if (!document.getElementById(id)) faults.push(`${attribute} leads nowhere: ${id}`);
      }
    }
  }
  const ids = all("[id]").map((element) => element.id);
  for (const id of new Set(ids.filter((id, at) => ids.indexOf(id) !== at))) faults.push(`an id twice: ${id}`);

  // Landmarks, one heading of the first level, no level left out.
  for (const landmark of ["header", "nav", "main", "footer"]) if (!document.querySelector(landmark)) faults.push(`no ${landmark}`);
  if (!document.documentElement.lang) faults.push("no language");
  const levels = all("h1, h2, h3, h4, h5, h6").map((heading) => Number(heading.tagName[1]));
  if (levels.filter((level) => level === 1).length !== 1) faults.push(`headings of the first level: ${levels}`);
  levels.forEach((level, at) => {
    if (at > 0 && level > levels[at - 1] + 1) faults.push(`a level of headings is left out: ${levels}`);
  });

  // Text against what is behind it: WCAG 2.2, 1.4.3.
  const numbers = (colour) => (colour.match(/[\d.]+/g) ?? []).map(Number);
  const opacity = (colour) => (colour.startsWith("rgba") ? numbers(colour)[3] : 1);
  const light = (colour) => {
    const [r, g, b] = numbers(colour).slice(0, 3).map((value) => {
      const share = value / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      if (opacity(colour) === 1) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const seen = new Set();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || seen.has(element) || element.closest(".unseen, noscript, script, option, title, desc")) continue;
    seen.add(element);
    if (!element.checkVisibility({ visibilityProperty: true })) continue;
    const style = getComputedStyle(element);
    const colour = element.closest("svg") ? style.fill : style.color;
    const [a, b] = [light(colour), light(behind(element))].sort((x, y) => y - x);
    const contrast = (a + 0.05) / (b + 0.05);
    const size = parseFloat(style.fontSize);
    const least = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700) ? 3 : 4.5;
    if (contrast < least) faults.push(`contrast ${contrast.toFixed(2)}: ${colour} on ${behind(element)}: ${name(element)}`);
  }
  return faults;
})()
