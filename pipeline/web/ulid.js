// Identifiers of corrections: made here, so that a correction that is sent twice counts once.

const ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/**
 * @param {number} [now] milliseconds since the Unix epoch
 * @returns {string} a ULID: 48 bits of time and 80 random bits, in Crockford's base 32
 */
export function ulid(now = Date.now()) {
  let time = "";
  for (let i = 0, rest = now; i < 10; i++, rest = Math.floor(rest / 32)) time = ALPHABET[rest % 32] + time;
  const random = crypto.getRandomValues(new Uint8Array(16));
  return time + Array.from(random, (byte) => ALPHABET[byte & 31]).join("");
}
