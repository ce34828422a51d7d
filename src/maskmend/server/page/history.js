// What can be undone: entries of {label, undo, redo, bytes}. The oldest are forgotten when they take too much memory.

const MOST_BYTES = 256 * 2 ** 20;

export class History {
  constructor(changed) {
    this.changed = changed;
    this.past = [];
    this.future = [];
  }

  forget() {
    this.past = [];
    this.future = [];
    this.changed();
  }

  push(entry) {
    this.past.push(entry);
    this.future = [];
    let bytes = this.past.reduce((sum, { bytes = 0 }) => sum + bytes, 0);
    while (bytes > MOST_BYTES && this.past.length > 1) bytes -= this.past.shift().bytes ?? 0;
    this.changed();
  }

  undo() {
    const entry = this.past.pop();
    if (!entry) return null;
    entry.undo();
    this.future.push(entry);
    this.changed();
    return entry.label;
  }

  redo() {
    const entry = this.future.pop();
    if (!entry) return null;
    entry.redo();
    this.past.push(entry);
    this.changed();
    return entry.label;
  }
}
