// Asks koubeisim as an ISV with the official SDK would, and prints what the SDK makes of the answers.
//
// stdin: {"env": {ALIPAY_…}, "calls": [{"code", "validate", "encrypt"}]}
// stdout: {"sns": {…}, "answers": [{"result"} or {"error", "raw", "verified"}]}, one answer for each call.

import { createVerify } from 'node:crypto';
import { text } from 'node:stream/consumers';
import { AlipaySdk } from 'alipay-sdk';

const method = 'koubei.member.data.oauth.query';
const node = 'koubei_member_data_oauth_query_response';
const { env, calls } = JSON.parse(await text(process.stdin));

const sdk = new AlipaySdk({
  gateway: env.ALIPAY_GATEWAY_URL,
  appId: env.ALIPAY_APP_ID,
  privateKey: env.ALIPAY_APP_PRIVATE_KEY,
  keyType: 'PKCS8',
  signType: env.ALIPAY_SIGN_TYPE || 'RSA2',
  encryptKey: env.ALIPAY_ENCRYPT_KEY,
  camelcase: false,
  timeout: 20_000,
  ...(env.ALIPAY_APP_CERT_FILE
    ? { appCertPath: env.ALIPAY_APP_CERT_FILE, alipayPublicCertPath: env.ALIPAY_CERT_FILE, alipayRootCertPath: env.ALIPAY_ROOT_CERT_FILE }
    : { alipayPublicKey: env.ALIPAY_PUBLIC_KEY }),
});

const answers = [];
for (const { code, validate, encrypt } of calls) {
  try {
    const result = await sdk.exec(
      method,
      { bizContent: { auth_type: 'pay_member', code }, ...(encrypt && { needEncrypt: true }) },
      { validateSign: validate },
    );
    answers.push({ result });
  } catch (e) {
    const raw = e.responseDataRaw ?? '';
    answers.push({ error: e.message, raw, verified: verifies(raw) });
  }
}

const { appCertSn, alipayCertSn, alipayRootCertSn } = sdk.config;
process.stdout.write(JSON.stringify({ sns: { appCertSn, alipayCertSn, alipayRootCertSn }, answers }));

// verifies checks the signature over the node exactly as it stands, quotes included where it is encrypted: what the
// official SDKs in Java, .NET and PHP do, and this one can't. The key is the one that the SDK made of its configuration.
function verifies(raw) {
  const value = new RegExp(`"${node}":("[^"]*"|\\{.*?\\})(?=,")`).exec(raw)?.[1];
  const sign = /"sign":"([^"]*)"/.exec(raw)?.[1];
  if (!value || !sign) return false;
  const algorithm = sdk.config.signType === 'RSA' ? 'RSA-SHA1' : 'RSA-SHA256';
  return createVerify(algorithm).update(value, 'utf8').verify(sdk.config.alipayPublicKey, sign, 'base64');
}
