// Judging without leaving the page, results announced, and places of one chunk lit together. Everything works without.
"use strict";

function judge(event) {
  const form = event.target, pressed = event.submitter;
  if (!form.matches("form.feedback") || !pressed) return;
  event.preventDefault();
  const said = form.querySelector(".said"), body = new URLSearchParams(new FormData(form));
  body.set(pressed.name, pressed.value);
  said.classList.remove("wrong");
  said.textContent = "";
  fetch(form.action, { method: "POST", body, headers: { Accept: "application/json" }, redirect: "error" })
    .then((response) => response.json().then((answer) => ({ response, answer })))
    .then(({ response, answer }) => {
      if (!response.ok) throw new Error(answer.error);
      for (const button of form.querySelectorAll("button"))
        button.setAttribute("aria-pressed", String(button.value === (answer.grade > 0 ? "useful" : "not useful")));
      said.textContent = answer.grade > 0 ? "kept: useful" : "kept: not useful";
    })
    .catch((error) => {
      said.classList.add("wrong");
      said.textContent = `not kept: ${error.message}`;
    });
}

function light(event) {
  const place = event.target.closest("[data-chunk]"), chunk = place && place.dataset.chunk;
  for (const lit of document.querySelectorAll(".lit")) lit.classList.remove("lit");
  if (chunk) for (const same of document.querySelectorAll(`[data-chunk="${chunk}"]`)) same.classList.add("lit");
}

function find(event) {
  const field = document.getElementById("q");
  if (field && event.key.toLowerCase() === "k" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    field.focus();
    field.select();
  }
}

document.addEventListener("submit", judge);
document.addEventListener("mouseover", light);
document.addEventListener("focusin", light);
document.addEventListener("keydown", find);
// Written after the page is there, or screen readers would not say it.
for (const status of document.querySelectorAll("[data-announce]"))
  setTimeout(() => { status.textContent = status.dataset.announce; }, 100);
