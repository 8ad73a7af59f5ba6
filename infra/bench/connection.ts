import { connect, type Socket } from "node:net";

export type Answer = { readonly status: number; readonly body: Buffer };

/**
 * One HTTP/1.1 connection, one request at a time. A load generator shares the cores with what it
 * measures: this costs about a third of what fetch does.
 */
export type Connection = {
  post(path: string, contentType: string, body: Buffer | string): Promise<Answer>;
  get(path: string): Promise<Answer>;
  close(): void;
};

type Waiting = { resolve(answer: Answer): void; reject(error: Error): void };

/** @param url of a server that answers with Content-Length, as our gateway does. */
export async function openConnection(url: string): Promise<Connection> {
  const { hostname, port, host } = new URL(url);
  const socket = connect({ host: hostname, port: Number(port), noDelay: true });
  await new Promise<void>((resolve, reject) => {
    socket.once("connect", resolve).once("error", reject);
  });
  let waiting: Waiting | undefined;
  readAnswers(
    socket,
    (answer) => {
      const asked = waiting;
      waiting = undefined;
      asked?.resolve(answer);
    },
    (error) => waiting?.reject(error),
  );
  return {
    post(path, contentType, body) {
      return new Promise((resolve, reject) => {
        waiting = { resolve, reject };
        const length = typeof body === "string" ? Buffer.byteLength(body) : body.length;
        const head = `POST ${path} HTTP/1.1\r\nhost: ${host}\r\ncontent-type: ${contentType}\r\ncontent-length: ${length}\r\n\r\n`;
        if (typeof body === "string") return socket.write(head + body);
        socket.cork();
        socket.write(head, "latin1");
        socket.write(body);
        socket.uncork();
      });
    },
    get(path) {
      return new Promise((resolve, reject) => {
        waiting = { resolve, reject };
        socket.write(`GET ${path} HTTP/1.1\r\nhost: ${host}\r\n\r\n`);
      });
    },
    close: () => socket.destroy(),
  };
}

function readAnswers(
  socket: Socket,
  onAnswer: (answer: Answer) => void,
  onError: (error: Error) => void,
): void {
  let pending: Buffer = Buffer.alloc(0);
  socket.on("data", (chunk) => {
    pending = pending.length === 0 ? chunk : Buffer.concat([pending, chunk]);
    for (let found = parse(pending); found !== undefined; found = parse(pending)) {
      pending = pending.subarray(found.end);
      onAnswer(found);
    }
  });
  socket.once("error", onError);
  socket.once("close", () => onError(new Error("the gateway closed the connection")));
}

/** The first whole answer in `bytes`; undefined while it is not all there. */
export function parse(bytes: Buffer): (Answer & { readonly end: number }) | undefined {
  const headEnd = bytes.indexOf("\r\n\r\n");
  if (headEnd < 0) return undefined;
  const head = bytes.toString("latin1", 0, headEnd);
  const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1];
  if (length === undefined) throw new Error(`an answer without Content-Length: ${head}`);
  const end = headEnd + 4 + Number(length);
  if (bytes.length < end) return undefined;
  return { status: Number(head.slice(9, 12)), body: bytes.subarray(headEnd + 4, end), end };
}
