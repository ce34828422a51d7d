// What went wrong, with a sentence for people.

export class Failure extends Error {
  constructor(code, message, conversions = []) {
    super(message);
    this.code = code;
    this.conversions = conversions;
  }
}

export function sentence(text) {
  const line = String(text).trim();
  const start = line.charAt(0).toUpperCase() + line.slice(1);
  return /[.!?。！？]$/.test(start) ? start : `${start}.`;
}
