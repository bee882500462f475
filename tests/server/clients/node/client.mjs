// Drives a connection of ws': commands come in and events go out as lines of JSON, whose
// messages are {"text": ...} or {"binary": base64}.
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import WebSocket from "ws";

const [url, cafile, ...subprotocols] = process.argv.slice(2);

const say = (event) => process.stdout.write(JSON.stringify(event) + "\n");
const payload = ({ text, binary }) => text ?? Buffer.from(binary, "base64");

const ws = new WebSocket(url, subprotocols, {
  ca: cafile ? readFileSync(cafile) : undefined,
  maxPayload: 2 ** 24,
});
ws.on("open", () => say({ event: "open", subprotocol: ws.protocol }));
ws.on("message", (data, isBinary) =>
  say(
    isBinary
      ? { event: "message", binary: data.toString("base64") }
      : { event: "message", text: data.toString() },
  ),
);
ws.on("pong", (data) => say({ event: "pong", text: data.toString() }));
ws.on("error", (error) => say({ event: "error", text: String(error) }));
ws.on("close", (code, reason) => say({ event: "close", code, reason: reason.toString() }));

const commands = {
  send: ({ fragments }) =>
    fragments.forEach((fragment, index) =>
      ws.send(payload(fragment), { fin: index === fragments.length - 1 }),
    ),
  ping: ({ text }) => ws.ping(text),
  close: ({ code, reason }) => ws.close(code, reason),
};

createInterface({ input: process.stdin })
  .on("line", (line) => {
    const command = JSON.parse(line);
    commands[command.command](command);
  })
  .on("close", () => process.exit());
