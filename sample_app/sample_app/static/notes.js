"use strict";

const form = document.getElementById("note-form");
const outcome = document.getElementById("outcome");
const button = form.querySelector("button");

function say(text, failed = false) {
  outcome.textContent = text;
  outcome.classList.toggle("failed", failed);
}

function show(note) {
  const item = document.getElementById("note").content.cloneNode(true);
  const body = item.querySelector(".body");
  const time = item.querySelector("time");
  item.querySelector("h3").textContent = note.title;
  body.textContent = note.body;
  body.hidden = !note.body;
  time.dateTime = note.created_at;
  time.textContent = note.created_at.slice(0, 16).replace("T", " ") + " UTC";
  document.getElementById("note-list").prepend(item);
  document.getElementById("none").hidden = true;
  const total = document.getElementById("total");
  total.textContent = Number(total.textContent) + 1;
}

function reason(answer) {
  if (!Array.isArray(answer.detail)) return answer.detail || "The server refused it.";
  return answer.detail.map((error) => `${error.loc.at(-1)}: ${error.msg}`).join("; ");
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  button.disabled = true;
  say("Adding …");
  try {
    const response = await fetch(form.action, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(Object.fromEntries(new FormData(form))),
    });
    const answer = await response.json();
    if (!response.ok) throw new Error(reason(answer));
    show(answer);
    form.reset();
    form.elements.title.focus();
    say("Added.");
  } catch (error) {
    say(`Not added: ${error.message}`, true);
  } finally {
    button.disabled = false;
  }
});
