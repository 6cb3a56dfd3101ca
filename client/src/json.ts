/** The members of a JSON object. Other values have none. */
export function members(json: unknown): Record<string, unknown> {
  return typeof json === 'object' && json ? (json as Record<string, unknown>) : {};
}

export function list(json: unknown): unknown[] {
  return Array.isArray(json) ? json : [];
}

export function text(json: unknown): string | undefined {
  return typeof json === 'string' ? json : undefined;
}

/** The value of a JSON text, or undefined if it is not one. */
export function parse(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}
