"use strict";
// The map is whole without this; here are only pointing at dots, picking groups, and finding tracks.
(() => {
  const map = document.getElementById("map");
  if (!map) return;
  const points = JSON.parse(document.getElementById("points").textContent);
  const dots = Array.from(map.querySelectorAll(".dots .dot"));
  const at = dots.map((dot) => [Number(dot.getAttribute("cx")), Number(dot.getAttribute("cy"))]);
  const groups = dots.map((dot, i) => ({ cluster: points[i][2], label: dot.classList[2].slice(1) }));
  const halo = document.getElementById("halo");
  const tip = document.getElementById("tip");
  const find = document.getElementById("find");
  const found = document.getElementById("found");
  const picked = { cluster: new Set(), label: new Set() };
  const lit = new Array(dots.length).fill(true);
  const REACH_PX = 26;

  function line(kind, text) {
    const span = document.createElement("span");
    span.className = kind;
    span.dir = "auto";
    span.textContent = text;
    return span;
  }

  function nearest(event) {
    const matrix = map.getScreenCTM();
    const x = (event.clientX - matrix.e) / matrix.a;
    const y = (event.clientY - matrix.f) / matrix.d;
    let best = -1;
    let least = (REACH_PX / matrix.a) ** 2;
    for (let i = 0; i < at.length; i++) {
      const square = (at[i][0] - x) ** 2 + (at[i][1] - y) ** 2;
      if (lit[i] && square < least) {
        best = i;
        least = square;
      }
    }
    return best;
  }

  function hide() {
    tip.hidden = true;
    halo.setAttribute("cx", "-99");
  }

  function show(i) {
    if (i < 0) return hide();
    const [title, artist, group, label] = points[i];
    const cluster = /^\d+$/.test(group) ? `cluster ${group}` : group;
    tip.replaceChildren(line("t", title));
    if (artist) tip.append(line("a", artist));
    tip.append(line("m", label ? `${cluster} · ${label}` : cluster));
    halo.setAttribute("cx", at[i][0]);
    halo.setAttribute("cy", at[i][1]);
    tip.hidden = false;
    const scale = map.clientWidth / map.viewBox.baseVal.width;
    const x = at[i][0] * scale;
    const y = at[i][1] * scale;
    const left = x + 16 + tip.offsetWidth > map.clientWidth ? Math.max(0, x - 16 - tip.offsetWidth) : x + 16;
    tip.style.left = `${left}px`;
    tip.style.top = `${Math.max(0, y - tip.offsetHeight / 2)}px`;
  }

  function refresh() {
    const by = document.getElementById("by-label")?.checked ? "label" : "cluster";
    const sought = find.value.trim().toLocaleLowerCase();
    let n = 0;
    dots.forEach((dot, i) => {
      const inGroup = picked[by].size === 0 || picked[by].has(groups[i][by]);
      const inText = !sought || `${points[i][0]}\n${points[i][1]}`.toLocaleLowerCase().includes(sought);
      lit[i] = inGroup && inText;
      dot.classList.toggle("off", !lit[i]);
      n += lit[i];
    });
    found.textContent = n < dots.length ? `${n} of ${dots.length} tracks` : "";
    hide();
  }

  map.addEventListener("pointermove", (event) => show(nearest(event)));
  map.addEventListener("pointerdown", (event) => show(nearest(event)));
  map.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && hide());
  document.querySelectorAll('input[name="by"]').forEach((radio) => radio.addEventListener("change", refresh));
  document.querySelectorAll(".legend button").forEach((button) => {
    button.addEventListener("click", () => {
      const group = picked[button.closest(".legend").dataset.by];
      const key = button.dataset.key;
      if (!group.delete(key)) group.add(key);
      button.setAttribute("aria-pressed", String(group.has(key)));
      refresh();
    });
  });
  find.addEventListener("input", refresh);
  find.hidden = false;
  refresh();
})();
