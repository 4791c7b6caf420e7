// The web socket of one map: what it sends is the newest state, so a lost connection begins anew.
const FIRST_RETRY_MS = 500, MAX_RETRY_MS = 8000;

export class Feed {
  constructor(path, take) {
    this.url = `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}${path}`;
    this.take = take;
    this.retry = FIRST_RETRY_MS;
    this.open();
  }

  open() {
    this.socket = new WebSocket(this.url);
    this.socket.onmessage = (event) => {
      this.retry = FIRST_RETRY_MS;
      this.take(JSON.parse(event.data));
      this.socket.send("shown"); // the next state is sent after this one has been taken
    };
    this.socket.onclose = () => {
      if (this.closed) return;
      setTimeout(() => this.closed || this.open(), this.retry);
      this.retry = Math.min(this.retry * 2, MAX_RETRY_MS);
    };
  }

  close() {
    this.closed = true;
    this.socket.close();
  }
}
