// Files of messages: they live on the server and are fetched when they are
// wanted.

import { WPPError } from './models.js';

const METADATA = 3000; // ms to find out how long a recording is
const STICKER = 512; // pixels
const RETRY = 1000; // ms between attempts without a connection

const pause = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

// toBlob takes what sendFileMessage takes: a data URL, an address, a Blob.
export async function toBlob(content) {
  if (content instanceof Blob) return content;
  try {
    const response = await fetch(content);
    if (response.ok) return await response.blob();
  } catch { /* said below */ }
  throw new WPPError('invalid_file', 'The content is neither a file nor the address of one');
}

const KINDS = ['image', 'video', 'audio', 'document', 'sticker'];

export function kindOf({ type = 'auto-detect', isPtt }, mimetype) {
  if (type === 'auto-detect') {
    const [group] = mimetype.split('/');
    type = ['image', 'video', 'audio'].includes(group) ? group : 'document';
  }
  if (!KINDS.includes(type)) throw new WPPError('invalid_type', `Invalid type ${type} of a file`);
  return type === 'audio' && isPtt ? 'ptt' : type;
}

// Stickers are WebP of 512 by 512, whatever they were.
export async function toSticker(blob) {
  const picture = await createImageBitmap(blob);
  const canvas = new OffscreenCanvas(STICKER, STICKER);
  const scale = Math.min(STICKER / picture.width, STICKER / picture.height);
  const [width, height] = [picture.width * scale, picture.height * scale];
  canvas.getContext('2d').drawImage(picture, (STICKER - width) / 2, (STICKER - height) / 2, width, height);
  return canvas.convertToBlob({ type: 'image/webp' });
}

// describe finds out what a message says of its file.
export async function describe(blob, kind, { mimetype, filename, isGif, isViewOnce }) {
  const media = { mimetype: mimetype || blob.type || 'application/octet-stream', size: blob.size };
  const name = filename || blob.name;
  if (name) media.filename = name;
  else if (kind === 'document') media.filename = 'unnamed';
  if (isGif) media.gif = true;
  if (isViewOnce) media.view_once = true;
  if (kind === 'image' || kind === 'sticker') {
    const picture = await createImageBitmap(blob).catch(() => null);
    if (picture) Object.assign(media, { width: picture.width, height: picture.height });
    picture?.close();
  } else if (kind !== 'document') {
    Object.assign(media, await recording(blob, kind === 'video' ? 'video' : 'audio'));
  }
  return media;
}

async function recording(blob, tag) {
  const element = document.createElement(tag);
  const url = URL.createObjectURL(blob);
  try {
    await Promise.race([pause(METADATA), new Promise((resolve) => {
      element.onloadedmetadata = resolve;
      element.onerror = resolve;
      element.preload = 'metadata';
      element.src = url;
    })]);
    const media = Number.isFinite(element.duration) ? { seconds: Math.round(element.duration) } : {};
    if (element.videoWidth) Object.assign(media, { width: element.videoWidth, height: element.videoHeight });
    return media;
  } finally {
    element.removeAttribute('src');
    URL.revokeObjectURL(url);
  }
}

// upload brings a file to the server; without a connection it tries again as
// long as goOn says so.
export async function upload(blob, credential, goOn) {
  for (;;) {
    try {
      const response = await fetch('/device/files', {
        method: 'POST',
        headers: { Authorization: `Bearer ${credential}`, 'Content-Type': 'application/octet-stream' },
        body: blob,
      });
      if (response.ok) return await response.json();
      if (response.status < 500) throw new WPPError('upload', `The server answered ${response.status}`);
    } catch (error) {
      if (error instanceof WPPError) throw error;
    }
    if (!goOn()) throw new WPPError('upload', 'The device is not linked any more');
    await pause(RETRY);
  }
}

// download rejects with a plain object where the file is gone, as the real one
// does.
export async function download({ hash, mimetype }, credential) {
  const response = await fetch(`/device/files/${hash}`, { headers: { Authorization: `Bearer ${credential}` }, cache: 'no-store' });
  if (!response.ok) throw { error: true, code: 'media_not_found', message: 'Media not found' };
  return new Blob([await response.arrayBuffer()], { type: mimetype });
}
