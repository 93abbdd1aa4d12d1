// The studio's page: sends what was typed, shows what comes back. Fragments of HTML come escaped from the server; all else is set as text.
"use strict";

const at = (id) => document.getElementById(id);
const visitor = Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
let token = "";
let turn = Promise.resolve();

// One thing after another, in the order in which it was done; what stands in the fields is read when its turn has come.
function act(action, more = {}) {
  turn = turn.then(() => send(action, more));
}

// Said below the buttons and at the gate: one of the two is seen.
function tell(words) {
  for (const id of ["status", "refused"]) at(id).textContent = words;
}

async function send(action, more) {
  tell("…");
  const typed = { text: at("text").value, labels: at("labels").value, rival: at("rival").value };
  let reply, answer;
  try {
    reply = await fetch("/api/act", {
      method: "POST",
      headers: { "content-type": "application/json", "x-visitor": visitor, ...(token ? { authorization: `Bearer ${token}` } : {}) },
      body: JSON.stringify({ action, ...typed, ...more }),
    });
    answer = await reply.json();
  } catch {
    tell("The server does not answer; is it still running?");
    return;
  }
  at("gate").hidden = reply.status !== 401;
  at("main").hidden = reply.status === 401;
  if (reply.status !== 401) tell(reply.ok ? "" : answer.detail);
  else tell(token ? "This is not the token of this server." : "");
  if (reply.ok) show(answer, typed);
}

// A field that was typed in meanwhile is left alone, and so are all where there was an error: what could not be taken can be mended there.
function show(state, typed) {
  for (const name of ["text", "labels", "rival"]) if (!state.error && at(name).value === typed[name]) at(name).value = state[name];
  for (const name of ["error", "marks", "values", "raw"]) at(name).innerHTML = state[name];
  at("yaml").textContent = state.yaml;
  at("undo").disabled = !state.can_undo;
  at("redo").disabled = !state.can_redo;
  if (!at("collection").options.length) at("collection").append(...state.collections.map((name) => new Option(name)));
  at("findings").replaceChildren(...state.findings.map((finding, number) => {
    const line = document.createElement("div");
    line.textContent = `${finding.blocking ? "⛔" : "⚠"} ${finding.reason}`;
    if (finding.fix) {
      const button = document.createElement("button");
      button.textContent = finding.fix;
      button.addEventListener("click", () => act("accept", { number }));
      line.append(button);
    }
    return line;
  }));
  at("history").replaceChildren(...state.history.map((title, number) => {
    const line = document.createElement("li");
    const button = document.createElement("button");
    button.textContent = title;
    button.addEventListener("click", () => act("return", { number }));
    line.append(button);
    return line;
  }));
}

for (const id of ["run", "both", "undo", "redo"]) at(id).addEventListener("click", () => act(id));
for (const id of ["sample", "its-labels"]) at(id).addEventListener("click", () => act(id, { collection: at("collection").value }));
for (const id of ["text", "labels", "rival"]) at(id).addEventListener("change", () => act("write"));
at("gate").addEventListener("submit", (event) => {
  event.preventDefault();
  // Tokens are ASCII, and a header takes little else: whatever is not makes a wrong token, which the server then refuses.
  token = at("token").value.trim().replace(/[^\x21-\x7e]/g, "?");
  at("token").value = "";
  act("look");
});
act("look");
