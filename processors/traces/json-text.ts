/** What stands otherwise in JSON than it is: quotes, backslashes, control characters, surrogates. */
const escaped = /[^ !#-[\]-\ud7ff\ue000-\uffff]/;

/** A text in JSON, as `JSON.stringify` writes it: mostly there is nothing to escape, which is soon found out. */
export function quoted(text: string): string {
  return escaped.test(text) ? JSON.stringify(text) : `"${text}"`;
}
