// WPP.contact

import { Wid, WPPError } from './models.js';

export function contactFunctions(device) {
  const widOf = (id) => Wid.create(id);

  return {
    async get(id) {
      const wid = Wid.assert(id);
      return device().contacts().find((c) => c.id.equals(wid));
    },

    list: async ({ onlyMyContacts } = {}) => device().contacts().filter((c) => !onlyMyContacts || c.isMyContact),

    async getPnLidEntry(id) {
      const wid = Wid.assert(id);
      if (!wid.isUser()) throw new WPPError('invalid_wid', `Invalid WID value for ${id} - getPnLidEntry only supports @c.us and @lid.`, { id });
      const known = device().contacts().find((c) => c.id.equals(wid));
      let { phone, lid } = known?.record ?? {};
      if (wid.isLid()) lid = wid.toString();
      else {
        phone = wid.user;
        lid ??= (await device().exists(wid)).contact?.lid;
      }
      const plain = (w) => w && { id: w.user, server: w.server, _serialized: w._serialized };
      const { name, shortName, pushname, type, verifiedName, isBusiness, isEnterprise } = known ?? {};
      return {
        lid: plain(widOf(lid)),
        phoneNumber: plain(phone && widOf(`${phone}@c.us`)),
        contact: known && { name, shortName, pushname, type, verifiedName, isBusiness, isEnterprise },
      };
    },

    // Pictures are drawn by the server, for those who have one.
    async getProfilePictureUrl(id) {
      const wid = Wid.assert(id);
      const known = device().contacts().find((c) => c.id.equals(wid));
      return known?.record.picture ? `${location.origin}/pictures/${wid}.png` : undefined;
    },

    async queryWidExists(id) {
      const wid = Wid.assert(id);
      const { exists, contact } = await device().exists(wid);
      return exists ? { wid, biz: Boolean(contact?.business), lid: widOf(contact?.lid) } : null;
    },
  };
}
