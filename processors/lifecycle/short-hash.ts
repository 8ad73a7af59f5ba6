/**
 * 12 hex digits that spread texts evenly: two rounds of multiply-and-rotate over the UTF-16 code
 * units. Not for secrets; it only has to be the same in every process for ever, because attempt
 * ids are made with it.
 */
export function shortHash(text: string): string {
  let a = 0xdeadbeef;
  let b = 0x41c6ce57;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    a = Math.imul(a ^ unit, 0x9e3779b1);
    b = Math.imul(b ^ unit, 0x5f356495);
  }
  a = Math.imul(a ^ (a >>> 16), 0x85ebca6b) ^ Math.imul(b ^ (b >>> 13), 0xc2b2ae35);
  b = Math.imul(b ^ (b >>> 16), 0x85ebca6b) ^ Math.imul(a ^ (a >>> 13), 0xc2b2ae35);
  return hex(a) + hex(b).slice(0, 4);
}

function hex(word: number): string {
  return (word >>> 0).toString(16).padStart(8, "0");
}
