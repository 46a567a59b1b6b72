import type { FieldError, Problem } from './types';

/** Longer than the gateway's own 60 s limit, so that its answer comes first. */
const REQUEST_TIMEOUT_MS = 65_000;

/** status of an ApiError for which no answer came at all. */
export const NO_ANSWER = 0;

/** An error answer, or no answer: what to tell the user is in message and fields. */
export class ApiError extends Error {
  override readonly name = 'ApiError';

  constructor(
    readonly status: number,
    message: string,
    readonly fields: readonly FieldError[] = [],
    /** Names the request in the server's logs. */
    readonly requestID: string | null = null,
    readonly retryAfterSeconds: number | null = null,
    /** What kind of problem it is, such as /problems/conflict. */
    readonly type: string | null = null,
  ) {
    super(message);
  }

  /** The detail for one field of the input, or null. */
  field(name: string): string | null {
    return this.fields.find((f) => f.field === name)?.detail ?? null;
  }
}

interface RequestOptions {
  method?: 'GET' | 'POST' | 'DELETE';
  body?: unknown;
  signal?: AbortSignal | undefined;
}

/** Sends one request and decodes its JSON answer; throws ApiError. */
export async function request<T>(path: string, options: RequestOptions = {}): Promise<T> {
  const response = await send(path, options);
  if (response.status === 202 || response.status === 204) return undefined as T;
  try {
    return (await response.json()) as T;
  } catch {
    throw new ApiError(response.status, 'The server sent an answer that cannot be read.');
  }
}

/** Fetches a file; throws ApiError, also when it was cut off. */
export async function download(path: string): Promise<Blob> {
  const response = await send(path, {});
  try {
    return await response.blob();
  } catch {
    throw new ApiError(response.status, 'The download was cut off. Please try again.');
  }
}

async function send(path: string, options: RequestOptions): Promise<Response> {
  const headers: Record<string, string> = { Accept: 'application/json' };
  const init: RequestInit = {
    method: options.method ?? 'GET',
    headers,
    credentials: 'same-origin',
    cache: 'no-store',
    signal: withTimeout(options.signal),
  };
  if (options.body !== undefined) {
    headers['Content-Type'] = 'application/json';
    init.body = JSON.stringify(options.body);
  }

  let response: Response;
  try {
    response = await fetch(path, init);
  } catch (cause) {
    if (options.signal?.aborted) throw cause; // the caller gave up; nobody is to be told
    const timedOut = cause instanceof DOMException && cause.name === 'TimeoutError';
    throw new ApiError(
      NO_ANSWER,
      timedOut
        ? 'The server took too long to answer. Please try again.'
        : 'The server cannot be reached. Check your connection and try again.',
    );
  }
  if (!response.ok) throw await errorFrom(response);
  return response;
}

function withTimeout(signal: AbortSignal | undefined): AbortSignal {
  const timeout = AbortSignal.timeout(REQUEST_TIMEOUT_MS);
  return signal ? AbortSignal.any([signal, timeout]) : timeout;
}

async function errorFrom(response: Response): Promise<ApiError> {
  const problem = await problemOf(response);
  return new ApiError(
    response.status,
    problem?.detail || fallbackDetail(response.status),
    Array.isArray(problem?.errors) ? problem.errors : [],
    problem?.request_id ?? response.headers.get('X-Request-Id'),
    seconds(response.headers.get('Retry-After')),
    problem?.type ?? null,
  );
}

async function problemOf(response: Response): Promise<Partial<Problem> | null> {
  // nginx answers in HTML when the gateway itself is away.
  if (!response.headers.get('Content-Type')?.includes('json')) return null;
  try {
    const body: unknown = await response.json();
    return typeof body === 'object' && body !== null ? body : null;
  } catch {
    return null;
  }
}

function fallbackDetail(status: number): string {
  if (status === 401) return 'Please log in.';
  if (status === 429) return 'Too many requests. Please wait a moment and try again.';
  if (status >= 502 && status <= 504) return 'The service is not available right now. Please try again in a moment.';
  return `Something went wrong (HTTP ${status}).`;
}

function seconds(header: string | null): number | null {
  const n = Number(header);
  return header !== null && Number.isFinite(n) && n >= 0 ? n : null;
}

/** The text of any thrown value that a user may see. */
export function messageOf(error: unknown): string {
  return error instanceof ApiError ? error.message : 'Something went wrong in the app.';
}
