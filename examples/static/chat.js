"use strict";

// Milliseconds between attempts to connect again: doubled each time, and spread, so that a
// server that comes back is not met by all its clients at once.
const FIRST_WAIT = 1000;
const LONGEST_WAIT = 30000;
const MOST_MESSAGES = 500;

const element = (id) => document.getElementById(id);
const [door, problem, join, chat, log, say, text, here, count, status, leave, title] = [
  "door", "problem", "join", "chat", "log", "say", "text", "here", "count", "status", "leave",
  "title",
].map(element);

let me = null;          // {name, room} while joined, or joining
let socket = null;
let names = null;       // who is here; null until the server has said so
let welcome = false;    // whether this room has let us in before
let attempts = 0;
let timer = 0;

// The connection

async function connect() {
  clearTimeout(timer);
  showStatus("connecting", attempts ? "Connecting again…" : "Connecting…");
  const mine = me;
  const answer = await logIn(mine.name);
  if (me !== mine || socket) return;  // somebody has left meanwhile, or has joined again
  if (answer?.status === 422) {
    goBack("The room could not be joined: the server does not take this name.");
    return;
  }
  const url = new URL(`rooms/${encodeURIComponent(me.room)}`, location.href);
  url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  const opened = socket = new WebSocket(url);
  // One that was left behind has nothing to say any more.
  opened.onmessage = (event) => opened === socket && receive(JSON.parse(event.data));
  opened.onclose = (event) => opened === socket && lost(event);
}

// Each window logs in before it connects, because another one may have logged in with another name.
// If that fails, the WebSocket fails, too, and is tried again.
function logIn(name) {
  const body = new URLSearchParams({ name });
  return fetch("login", { method: "POST", body }).catch(() => null);
}

function receive(event) {
  if (event.type === "here") {
    if (names === null) enter();
    showHere(event.names);
  } else if (event.type === "said") {
    showMessage(event);
  }
}

// The server has accepted us, and says who is here.
function enter() {
  if (welcome) note("Connected again. What was said meanwhile is not shown.");
  welcome = true;
  attempts = 0;
  showStatus("open", "Connected");
  showRoom();
  text.disabled = say.querySelector("button").disabled = false;
  text.focus();
}

function lost(event) {
  socket = null;
  names = null;
  // A browser does not say whether the server refused us or is not there. Either way there
  // is no use in trying again before the form was looked at.
  if (!welcome) {
    goBack("The room could not be joined. Is the server running, and are name and room all right?");
    return;
  }
  if (!attempts) note(`Connection lost${event.reason ? `: ${event.reason}` : ""}.`);
  text.disabled = say.querySelector("button").disabled = true;
  const wait = Math.min(FIRST_WAIT * 2 ** attempts, LONGEST_WAIT) * (0.5 + Math.random() / 2);
  attempts += 1;
  timer = setTimeout(connect, wait);
  showStatus("waiting", `Not connected, trying again in ${Math.ceil(wait / 1000)} s`);
}

function goBack(why) {
  clearTimeout(timer);
  const left = socket;
  me = socket = names = null;
  welcome = false;
  attempts = 0;
  left?.close(1000);
  chat.hidden = leave.hidden = true;
  door.hidden = false;
  title.textContent = document.title = "triows chat";
  showStatus("idle", "");
  problem.hidden = !why;
  problem.textContent = why;
  join.elements.name.focus();
}

// What is shown. Whatever came from others goes through textContent: it is text, never HTML.

function make(tag, className, content = "") {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = content;
  return made;
}

function face(name) {
  const made = make("span", "face");
  made.dataset.letter = [...name][0].toUpperCase();  // shown by the style, and no part of the text
  let hue = 200;
  for (const letter of name) hue = (hue + 47 * letter.codePointAt(0)) % 360;
  made.style.setProperty("--hue", hue);
  return made;
}

function showStatus(state, words) {
  status.dataset.state = chat.dataset.state = state;
  status.textContent = words;
}

function showRoom() {
  door.hidden = true;
  chat.hidden = leave.hidden = false;
  title.textContent = document.title = `# ${me.room}`;
}

function append(item) {
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
  log.append(item);
  while (log.children.length > MOST_MESSAGES) log.firstElementChild.remove();
  if (atEnd) log.scrollTop = log.scrollHeight;
}

function note(words) {
  append(make("li", "note", words));
}

function showMessage({ name, text }) {
  const now = new Date();
  const time = make("time", "", now.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }));
  time.dateTime = now.toISOString();
  const head = make("span", "head");
  head.append(make("strong", "", name), time);
  const item = make("li", "said");
  item.append(face(name), head, make("span", "text", text));
  append(item);
}

function showHere(now) {
  if (names !== null) {
    for (const name of without(now, names)) note(`${name} joined`);
    for (const name of without(names, now)) note(`${name} left`);
  }
  names = now;
  count.textContent = `(${now.length})`;
  here.replaceChildren(...now.map((name) => {
    const item = make("li", "");
    item.append(face(name), make("span", "", name));
    return item;
  }));
}

// Names may stand in a list more than once: two people of one name are two people.
function without(all, some) {
  const left = [...all];
  for (const name of some) {
    const place = left.indexOf(name);
    if (place >= 0) left.splice(place, 1);
  }
  return left;
}

// What people do

join.addEventListener("submit", (event) => {
  event.preventDefault();
  if (me) return;  // joining already
  const name = join.elements.name.value.trim();
  if (!name) {
    goBack("Please tell your name.");
    return;
  }
  me = { name, room: join.elements.room.value };
  problem.hidden = true;
  log.replaceChildren();
  connect();
});

say.addEventListener("submit", (event) => {
  event.preventDefault();
  if (socket?.readyState === WebSocket.OPEN && text.value.trim()) {
    socket.send(text.value);
    text.value = "";
  }
  text.focus();
});

leave.addEventListener("click", () => goBack(""));

addEventListener("online", () => {
  if (me && !socket) connect();
});
