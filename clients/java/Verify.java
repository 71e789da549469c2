import com.fasterxml.jackson.databind.ObjectMapper;
import java.nio.charset.StandardCharsets;
import java.util.Map;

/**
 * Verifies the assertion on standard input and prints the operator, or, with exit code 1, the status.
 *
 * <p>curl -s … | KOUBEI_ISSUER=https://isv.example/koubei java -cp … Verify
 */
public final class Verify {
    public static void main(String[] args) throws Exception {
        Map<String, String> env = System.getenv();
        KoubeiVerifier verifier = new KoubeiVerifier(env.get("KOUBEI_ISSUER"), env.get("KOUBEI_AUDIENCE"), env.get("KOUBEI_JWKS_URL"));
        String assertion = new String(System.in.readAllBytes(), StandardCharsets.UTF_8).strip();
        try {
            KoubeiVerifier.Operator operator = verifier.operator(assertion, KoubeiVerifier.DOCUMENTED_TYPES, null);
            System.out.println(new ObjectMapper().writeValueAsString(Map.of("operatorId", operator.operatorId(), "operatorType", operator.operatorType())));
        } catch (KoubeiVerifier.Refused e) {
            System.out.println(new ObjectMapper().writeValueAsString(Map.of("status", e.status, "why", e.getMessage())));
            System.exit(1);
        }
    }
}
