// Files go in and out in pieces, so that neither side holds one as a single
// string. Between the calls they are blobs, which are not in the script's heap.

const files = new Map(); // by the key that the Go side chose

api.filePart = (key, base64) => {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i += 1) bytes[i] = text.charCodeAt(i); // eight times faster than Uint8Array.from
  files.set(key, [...(files.get(key) || []), new Blob([bytes])]);
};

const takeFile = (key, name, type) => {
  const parts = files.get(key) || [];
  files.delete(key);
  return new File(parts, name, { type });
};

// Loads the file of a message and says what it is.
api.openMedia = async (messageId, key, limit) => {
  const message = plainMessage(await WPP.chat.getMessageById(messageId));
  if (!message.media) throw new Refusal('message_not_contains_media', 'the message has no file');
  if (message.media.size > limit) throw new Refusal('file_too_large', 'the file is too large');
  const blob = await WPP.chat.downloadMedia(messageId);
  return { ...message.media, ...keep(key, blob, limit) };
};

// The page loads it: its network is the one that the session has.
api.openPicture = async (userId, key, limit) => {
  const url = await WPP.contact.getProfilePictureUrl(userId, true);
  if (!url) return null;
  const answer = await fetch(url, { credentials: 'omit', referrerPolicy: 'no-referrer' });
  if (!answer.ok) throw new Refusal('media_not_found', 'the picture cannot be loaded');
  return keep(key, await answer.blob(), limit);
};

const keep = (key, blob, limit) => {
  if (blob.size > limit) throw new Refusal('file_too_large', 'the file is too large');
  files.set(key, [blob]);
  return { size: blob.size, ...(blob.type ? { mime_type: blob.type } : {}) };
};

api.readFile = async (key, offset, count) => {
  const [blob] = files.get(key) || [];
  if (!blob) throw new Refusal('media_not_found', 'the file is gone');
  const url = await WPP.util.blobToBase64(blob.slice(offset, offset + count));
  return url.slice(url.indexOf(',') + 1);
};

api.closeFile = (key) => { files.delete(key); };
