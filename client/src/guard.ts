/** Calls a function of the app. What it throws or rejects with is reported and changes nothing. */
export function guard(call: () => unknown): void {
  try {
    Promise.resolve(call()).catch(report);
  } catch (error) {
    report(error);
  }
}

function report(error: unknown): void {
  (globalThis.reportError ?? console.error)(error);
}
