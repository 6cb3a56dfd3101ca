/** Calls a function of the app. What it throws or rejects with is reported and changes nothing. */
export function guard(call: () => unknown): void {
  new Promise((resolve) => resolve(call())).catch(globalThis.reportError ?? console.error);
}
