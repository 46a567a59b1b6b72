import { createHash } from 'node:crypto';

/** A picture that looks like a QR code but is none: no phone can read it. */
export function picture(text) {
  const size = 29;
  let bits = createHash('sha512').update(text).digest();
  while (bits.length * 8 < size * size) bits = Buffer.concat([bits, createHash('sha512').update(bits).digest()]);
  let path = '';
  const inCorner = (x, y) => (x < 8 && y < 8) || (x > size - 9 && y < 8) || (x < 8 && y > size - 9);
  for (let i = 0; i < size * size; i++) {
    const [x, y] = [i % size, Math.floor(i / size)];
    if (!inCorner(x, y) && (bits[i >> 3] >> (i & 7)) & 1) path += `M${x} ${y}h1v1h-1z`;
  }
  const corner = (x, y) => `<path d="M${x} ${y}h7v7h-7zM${x + 1} ${y + 1}v5h5v-5z" fill-rule="evenodd"/><path d="M${x + 2} ${y + 2}h3v3h-3z"/>`;
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${size} ${size}" shape-rendering="crispEdges"><path d="${path}"/>${corner(0, 0)}${corner(size - 7, 0)}${corner(0, size - 7)}</svg>`;
  return `data:image/svg+xml;base64,${Buffer.from(svg).toString('base64')}`;
}
