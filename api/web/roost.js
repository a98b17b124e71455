// Puts the changes of a session's three homes in place, as the server draws them. Without it the page works by loading it again.

const list = document.querySelector("#picks");
const status = document.querySelector("#status");
const live = document.querySelector("#live");

// What is drawn on the server is trusted and escaped there; the page's policy lets no script in it run.
const element = (html) => {
  const template = document.createElement("template");
  template.innerHTML = html.trim();
  return template.content.firstElementChild;
};

// Where the keyboard is, so that it can be put back there after elements are swapped.
const focusWithin = (root) => {
  const active = document.activeElement;
  const card = root.contains(active) ? active.closest("[data-listing]") : null;
  if (!card) return null;
  const key = active.dataset.focus ?? "";
  return { listing: card.dataset.listing, key };
};

const putFocusBack = (where) => {
  if (!where) return;
  const card = [...list.children].find((other) => other.dataset.listing === where.listing);
  const target = card?.querySelector(`[data-focus="${where.key}"]`) ?? document.querySelector("#picks-heading");
  if (target !== document.activeElement) target?.focus({ preventScroll: true });
};

const apply = ({ order, cards, status: line, say }) => {
  if (line) status.replaceChildren(...element(`<div>${line}</div>`).childNodes);
  if (order) {
    const focus = focusWithin(list);
    const open = new Set([...list.querySelectorAll("details[open]")].map((d) => d.closest("[data-listing]").dataset.listing));
    const shown = new Map([...list.children].map((card) => [card.dataset.listing, card]));
    for (const [listing, html] of Object.entries(cards)) {
      const card = element(html);
      const isSame = shown.get(listing)?.dataset.content === card.dataset.content;
      if (isSame) continue;
      card.classList.add("changed");
      if (open.has(listing)) card.querySelector("details")?.setAttribute("open", "");
      shown.get(listing)?.replaceWith(card);
      shown.set(listing, card);
    }
    const wanted = order.map((listing) => shown.get(listing)).filter(Boolean);
    // A page that lacks a card is older than what it is told: the server draws it whole.
    if (wanted.length !== order.length) return location.reload();
    for (const card of [...list.children]) if (!wanted.includes(card)) card.remove();
    wanted.forEach((card, at) => {
      if (list.children[at] !== card) list.insertBefore(card, list.children[at] ?? null);
    });
    putFocusBack(focus);
  }
  if (say) live.textContent = say;
};

if (list && "EventSource" in window) {
  const seen = list.dataset.event ? `?last_event_id=${encodeURIComponent(list.dataset.event)}` : "";
  const source = new EventSource(`/page/picks/stream${seen}`);
  source.addEventListener("open", () => document.body.classList.add("is-live"));
  source.addEventListener("update", (event) => apply(JSON.parse(event.data)));
  source.addEventListener("reload", () => location.reload());
  source.addEventListener("erased", () => location.assign("/?said=erased"));
  source.addEventListener("error", () => {
    document.body.classList.remove("is-live");
    if (source.readyState === EventSource.CLOSED) live.textContent = "Live updates have stopped. Load the page again for the newest.";
  });
  addEventListener("pagehide", () => source.close());
}

// A picture that cannot be shown makes room for the drawing behind it.
const withoutPicture = (image) => {
  image.closest(".photo")?.classList.add("none");
  image.remove();
};
document.addEventListener("error", ({ target }) => target instanceof HTMLImageElement && withoutPicture(target), true);
for (const image of document.querySelectorAll(".photo img")) if (image.complete && !image.naturalWidth) withoutPicture(image);

// A budget that nobody typed follows the market.
const city = document.querySelector("#city");
const budget = document.querySelector("#budget");
if (city && budget) {
  const suggest = () => {
    const option = city.selectedOptions[0];
    const isLease = document.querySelector("[name=transaction]:checked")?.value === "lease";
    const value = isLease ? option?.dataset.rent : option?.dataset.budget;
    if (value && budget.dataset.untouched !== undefined) budget.value = value;
  };
  budget.addEventListener("input", () => delete budget.dataset.untouched);
  city.addEventListener("change", suggest);
  document.querySelectorAll("[name=transaction]").forEach((radio) => radio.addEventListener("change", suggest));
}
