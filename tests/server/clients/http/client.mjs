// Node's own client, with an agent that keeps connections. programs.py says what comes in and out.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import http from "node:http";

const [url, ...lines] = readFileSync(0, "utf8").trimEnd().split("\n");
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });

const body = (size) => Buffer.from(Array.from({ length: size }, (_, index) => index % 256));

const ask = (line) =>
  new Promise((resolve, reject) => {
    const [method, target, size, chunked, expects, leave] = line.split("\t");
    const headers = {};
    if (+size && !+chunked) headers["Content-Length"] = size;
    if (+expects) headers["Expect"] = "100-continue";
    let answered = false;
    const request = http.request(url + target, { method, agent, headers }, (response) => {
      answered = true;
      const parts = [];
      let received = 0;
      const finish = () => {
        const data = Buffer.concat(parts);
        // The body that nobody has asked for is never sent.
        if (!request.writableEnded) request.destroy();
        resolve({
          status: response.statusCode,
          headers: response.headers,
          size: data.length,
          hash: createHash("sha256").update(data).digest("hex"),
          text: data.length <= 1000 ? data.toString() : "",
        });
      };
      response.on("data", (part) => {
        parts.push(part);
        received += part.length;
        if (+leave && received >= +leave) {
          response.removeAllListeners();
          response.on("error", () => {});
          response.destroy();
          finish();
        }
      });
      response.on("end", finish);
      response.on("error", reject);
    });
    request.on("error", (error) => answered || reject(error));
    const send = () => {
      if (+chunked) request.write(body(1));
      request.end(+size ? body(+size).subarray(+chunked ? 1 : 0) : undefined);
    };
    if (+expects) {
      request.flushHeaders();
      request.on("continue", send);
    } else send();
  });

const answers = [];
for (const line of lines) answers.push(await ask(line));
process.stdout.write(JSON.stringify(answers));
agent.destroy();
