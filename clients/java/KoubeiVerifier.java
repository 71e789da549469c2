// Which Koubei operator a request comes from, by the assertion in the header X-Koubei-Assertion.
// Needs Java 17 and Jackson (Debian: libjackson2-databind-java). License: Apache-2.0
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.math.BigInteger;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.security.AlgorithmParameters;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.PublicKey;
import java.security.Signature;
import java.security.spec.ECGenParameterSpec;
import java.security.spec.ECParameterSpec;
import java.security.spec.ECPoint;
import java.security.spec.ECPublicKeySpec;
import java.security.spec.X509EncodedKeySpec;
import java.time.Duration;
import java.time.Instant;
import java.util.Base64;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;

/** Verifies assertions. Make one for the whole process; it may be used by many threads. */
public final class KoubeiVerifier {
    /** The operator types that Koubei documents. It may send others. */
    public static final Set<String> DOCUMENTED_TYPES = Set.of("PROVIDER", "PROVIDER_STAFF", "MER", "MER_STAFF", "SALES");

    /** A request that may not pass: 401 nobody is signed in, 403 somebody may not pass, 503 could not find out. */
    public static final class Refused extends Exception {
        private static final long serialVersionUID = 1;

        public final int status;

        public Refused(int status, String message) {
            super(message);
            this.status = status;
        }
    }

    /** The person who sent a request. partnerId is null if Koubei named no merchant; shopIds may be "overflow". */
    public record Operator(String operatorId, String operatorType, String partnerId, String shopIds, String appId, Instant until) {}

    private record Key(PublicKey key, String algorithm) {}

    private static final Duration FRESH = Duration.ofMinutes(5); // keys are used without a refresh
    private static final Duration MAX_STALE = Duration.ofHours(1); // they are used after that, while the service does not answer
    private static final Duration COOLDOWN = Duration.ofSeconds(10); // between two fetches
    private static final Duration TIMEOUT = Duration.ofSeconds(3); // of a fetch
    private static final long KNOWN_KEY_WAIT_MILLIS = 250; // a request waits for a refresh although it has the key
    private static final long LEEWAY = 5; // seconds that two clocks may differ
    private static final ObjectMapper JSON = new ObjectMapper();

    private final String issuer;
    private final String audience;
    private final URI jwksUrl;
    private final HttpClient client = HttpClient.newBuilder().connectTimeout(TIMEOUT).build(); // follows no redirects

    private Map<String, Key> keys = Map.of();
    private Instant loaded = Instant.MIN;
    private Instant tried = Instant.MIN;
    private CompletableFuture<Void> running; // the fetch that all requests wait for

    /** issuer is exactly the service's PUBLIC_URL; audience is your entry in its ASSERTION_AUDIENCE, or null for issuer. */
    public KoubeiVerifier(String issuer, String audience, String jwksUrl) {
        this.issuer = issuer;
        this.audience = audience == null ? issuer : audience;
        this.jwksUrl = URI.create(jwksUrl == null ? issuer.replaceAll("/$", "") + "/.well-known/jwks.json" : jwksUrl);
    }

    /**
     * Returns the operator in an assertion, who may pass. types are the operator types allowed. partnerId is the partner that
     * the request is about, "" for the entry for which Koubei named none, null if the request is about none.
     */
    public Operator operator(String assertion, Set<String> types, String partnerId) throws Refused {
        JsonNode claims = verified(assertion);
        String partner = claims.get("partner_id").isNull() ? null : claims.get("partner_id").asText();
        if (!types.contains(claims.get("operator_type").asText())) throw new Refused(403, "this operator type is not allowed");
        // A page about one merchant must not act for the merchant of another tab.
        if (partnerId != null && !partnerId.equals(partner == null ? "" : partner)) throw new Refused(403, "another partner");
        String shops = claims.path("shop_ids").isTextual() ? claims.get("shop_ids").asText() : null;
        return new Operator(claims.get("sub").asText(), claims.get("operator_type").asText(), partner, shops,
            claims.get("app_id").asText(), Instant.ofEpochSecond(claims.get("exp").asLong()));
    }

    private JsonNode verified(String assertion) throws Refused {
        if (assertion == null || assertion.isEmpty() || assertion.length() > 8192) throw new Refused(401, "no assertion");
        String[] parts = assertion.split("\\.", -1);
        if (parts.length != 3) throw new Refused(401, "not a JWT");
        try {
            JsonNode header = JSON.readTree(Base64.getUrlDecoder().decode(parts[0]));
            if (!header.path("typ").asText().equalsIgnoreCase("JWT") || header.has("crit")) throw new Refused(401, "not an assertion");
            Key key = find(header.path("kid").asText());
            // The key decides the algorithm. The header may be forged.
            if (!header.path("alg").asText().equals(key.algorithm)) throw new Refused(401, "not its key's algorithm");
            Signature signature = Signature.getInstance(key.algorithm.equals("ES256") ? "SHA256withECDSAinP1363Format" : "Ed25519");
            signature.initVerify(key.key);
            signature.update((parts[0] + "." + parts[1]).getBytes(StandardCharsets.US_ASCII));
            if (!signature.verify(Base64.getUrlDecoder().decode(parts[2]))) throw new Refused(401, "wrong signature");
            JsonNode claims = JSON.readTree(Base64.getUrlDecoder().decode(parts[1]));
            check(claims);
            return claims;
        } catch (GeneralSecurityException | IOException | IllegalArgumentException e) {
            throw new Refused(401, "not a valid JWT");
        }
    }

    private void check(JsonNode claims) throws Refused {
        for (String name : new String[] {"sub", "app_id", "operator_type"}) {
            if (!claims.path(name).isTextual() || claims.get(name).asText().isEmpty()) throw new Refused(401, "a claim is missing");
        }
        if (!claims.path("iat").isNumber() || !claims.path("exp").isNumber() || !claims.has("partner_id")
            || !claims.get("partner_id").isNull() && !claims.get("partner_id").isTextual()) throw new Refused(401, "a claim is missing");
        long now = Instant.now().getEpochSecond();
        boolean meant = claims.path("aud").asText().equals(audience);
        for (JsonNode one : claims.path("aud")) meant = meant || one.asText().equals(audience);
        if (!claims.path("iss").asText().equals(issuer)) throw new Refused(401, "from another issuer");
        if (!meant) throw new Refused(401, "meant for another audience");
        if (now >= claims.get("exp").asLong() + LEEWAY) throw new Refused(401, "expired");
        if (claims.get("iat").asLong() > now + LEEWAY || claims.path("nbf").asLong() > now + LEEWAY) throw new Refused(401, "from the future");
    }

    /** Returns a key. Waits for a fetch: briefly for a key that it has, until its end for one that it has not. */
    private Key find(String id) throws Refused {
        CompletableFuture<Void> fetch;
        boolean known;
        synchronized (this) {
            known = keys.containsKey(id) && within(loaded, FRESH.plus(MAX_STALE));
            if (known && within(loaded, FRESH)) return keys.get(id);
            if (running == null && !within(tried, COOLDOWN)) {
                tried = Instant.now();
                running = fetch();
            }
            fetch = running;
        }
        if (fetch != null) {
            try {
                fetch.get(known ? KNOWN_KEY_WAIT_MILLIS : TIMEOUT.toMillis() + 1000, TimeUnit.MILLISECONDS);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            } catch (Exception e) {
                // The fetch failed or takes longer; what is known decides below.
            }
        }
        synchronized (this) {
            if (keys.containsKey(id) && within(loaded, FRESH.plus(MAX_STALE))) return keys.get(id);
            throw loaded.isBefore(tried) ? new Refused(503, "the keys are unavailable") : new Refused(401, "signed with a key that is not published");
        }
    }

    private static boolean within(Instant since, Duration time) {
        return since != Instant.MIN && Instant.now().isBefore(since.plus(time));
    }

    private CompletableFuture<Void> fetch() {
        HttpRequest request = HttpRequest.newBuilder(jwksUrl).timeout(TIMEOUT).build();
        return client.sendAsync(request, HttpResponse.BodyHandlers.ofString())
            .orTimeout(TIMEOUT.toMillis(), TimeUnit.MILLISECONDS) // the body included
            .thenApply(KoubeiVerifier::parse)
            .handle((fetched, failed) -> {
                synchronized (this) {
                    if (failed == null) {
                        keys = fetched;
                        loaded = Instant.now();
                    }
                    running = null;
                }
                return null;
            });
    }

    /** Returns the keys of a JWK set that may sign assertions. Ignores the others. */
    private static Map<String, Key> parse(HttpResponse<String> response) {
        if (response.statusCode() != 200) throw new IllegalStateException("status " + response.statusCode());
        Map<String, Key> keys = new HashMap<>();
        try {
            for (JsonNode jwk : JSON.readTree(response.body()).withArray("keys")) {
                String algorithm = algorithm(jwk);
                String kid = jwk.path("kid").asText();
                if (algorithm != null && !kid.isEmpty() && !jwk.has("d")) keys.put(kid, new Key(publicKey(jwk, algorithm), algorithm));
            }
        } catch (GeneralSecurityException | IOException e) {
            throw new IllegalStateException(e);
        }
        return keys;
    }

    private static String algorithm(JsonNode jwk) {
        String kind = jwk.path("kty").asText() + " " + jwk.path("crv").asText();
        String algorithm = kind.equals("EC P-256") ? "ES256" : kind.equals("OKP Ed25519") ? "EdDSA" : null;
        boolean meant = jwk.path("use").asText("sig").equals("sig") && jwk.path("alg").asText(String.valueOf(algorithm)).equals(algorithm);
        return meant ? algorithm : null;
    }

    private static PublicKey publicKey(JsonNode jwk, String algorithm) throws GeneralSecurityException {
        byte[] x = Base64.getUrlDecoder().decode(jwk.path("x").asText());
        if (algorithm.equals("EdDSA")) {
            byte[] der = HexFormat.of().parseHex("302a300506032b6570032100" + HexFormat.of().formatHex(x));
            return KeyFactory.getInstance("Ed25519").generatePublic(new X509EncodedKeySpec(der));
        }
        byte[] y = Base64.getUrlDecoder().decode(jwk.path("y").asText());
        AlgorithmParameters p256 = AlgorithmParameters.getInstance("EC");
        p256.init(new ECGenParameterSpec("secp256r1"));
        ECPoint point = new ECPoint(new BigInteger(1, x), new BigInteger(1, y));
        return KeyFactory.getInstance("EC").generatePublic(new ECPublicKeySpec(point, p256.getParameterSpec(ECParameterSpec.class)));
    }
}
