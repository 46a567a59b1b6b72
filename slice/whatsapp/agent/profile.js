// What WhatsApp knows of a person.

api.profile = async (userId) => {
  const contact = await WPP.contact.get(userId);
  if (!contact) throw new Refusal('wid_not_found', 'nobody is known by this id');
  let phone = userId;
  if (userId.endsWith('@lid')) {
    const entry = await lookUp(() => WPP.contact.getPnLidEntry(userId));
    phone = id(entry && entry.phoneNumber);
  }
  return {
    id: id(contact.id),
    phone,
    name: str(contact.name) || str(contact.verifiedName),
    push_name: str(contact.pushname),
    is_business: contact.isBusiness === true || contact.isEnterprise === true,
  };
};
