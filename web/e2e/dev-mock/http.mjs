// JSON in and out, for the mock.

export async function readJSON(req) {
  let text = '';
  for await (const chunk of req) text += chunk;
  return text ? JSON.parse(text) : {};
}

export function reply(res, status, value) {
  res.writeHead(status, { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' });
  res.end(status === 204 ? undefined : JSON.stringify(value));
}

export function fail(res, status, detail, errors) {
  res.writeHead(status, { 'Content-Type': 'application/problem+json' });
  res.end(JSON.stringify({ type: '/problems/mock', title: 'Mock', status, detail, errors, request_id: 'mock' }));
}

export function invalid(res, errors) {
  fail(res, 400, `The input is not valid: ${errors.map((e) => e.field).join(', ')}.`, errors);
}
