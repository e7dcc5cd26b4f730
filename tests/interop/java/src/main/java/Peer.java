import com.amazonaws.services.dynamodbv2.datamodeling.encryption.DynamoDBEncryptor;
import com.amazonaws.services.dynamodbv2.datamodeling.encryption.EncryptionContext;
import com.amazonaws.services.dynamodbv2.datamodeling.encryption.EncryptionFlags;
import com.amazonaws.services.dynamodbv2.datamodeling.encryption.providers.EncryptionMaterialsProvider;
import com.amazonaws.services.dynamodbv2.datamodeling.encryption.providers.SymmetricStaticProvider;
import com.amazonaws.services.dynamodbv2.datamodeling.encryption.providers.WrappedMaterialsProvider;
import com.amazonaws.services.dynamodbv2.model.AttributeValue;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.Key;
import java.security.KeyFactory;
import java.security.KeyPair;
import java.security.PrivateKey;
import java.security.PublicKey;
import java.security.spec.PKCS8EncodedKeySpec;
import java.security.spec.X509EncodedKeySpec;
import java.util.ArrayList;
import java.util.Base64;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.Set;
import javax.crypto.SecretKey;
import javax.crypto.spec.SecretKeySpec;

/**
 * The Java DynamoDB Encryption Client as a peer: one JSON object a line in, one a line out.
 *
 * <p>In: {"op": "encrypt"|"decrypt", "table", "partition_key", "sort_key", "actions": {"default",
 * "attributes"}, "provider": {"kind": "static"|"wrapped", "…_key": key}, "description": {name: text},
 * "item": DynamoDB JSON}; a key is as in the vector files: {"kind", "algorithm", "encoding", "material"}.
 * Out: {"item": …} or {"error": "what the client raised"}.
 */
public final class Peer {
    private static final ObjectMapper JSON = new ObjectMapper();

    private Peer() {}

    public static void main(String[] args) throws Exception {
        PrintStream out = new PrintStream(System.out, true, "UTF-8");
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            ObjectNode answer = JSON.createObjectNode();
            try {
                answer.set("item", format(run(JSON.readTree(line))));
            } catch (Exception error) { // whatever the client lets out is its answer
                answer.put("error", error.getClass().getSimpleName() + ": " + error.getMessage());
            }
            out.println(JSON.writeValueAsString(answer));
        }
    }

    private static Map<String, AttributeValue> run(JsonNode request) throws GeneralSecurityException {
        Map<String, AttributeValue> item = parse(request.get("item"));
        EncryptionContext context =
                new EncryptionContext.Builder()
                        .withTableName(text(request, "table"))
                        .withHashKeyName(text(request, "partition_key"))
                        .withRangeKeyName(text(request, "sort_key"))
                        .withAttributeValues(item)
                        .build();
        DynamoDBEncryptor encryptor =
                DynamoDBEncryptor.getInstance(provider(request.get("provider"), description(request)));
        Map<String, Set<EncryptionFlags>> flags = flags(request.get("actions"), item.keySet());
        return text(request, "op").equals("encrypt")
                ? encryptor.encryptRecord(item, flags, context)
                : encryptor.decryptRecord(item, flags, context);
    }

    private static String text(JsonNode node, String name) {
        JsonNode value = node.get(name);
        return value == null || value.isNull() ? null : value.asText();
    }

    private static Map<String, String> description(JsonNode request) {
        Map<String, String> out = new HashMap<>();
        JsonNode entries = request.get("description");
        if (entries != null) {
            entries.fields().forEachRemaining(e -> out.put(e.getKey(), e.getValue().asText()));
        }
        return out;
    }

    private static Map<String, Set<EncryptionFlags>> flags(JsonNode actions, Set<String> names) {
        Map<String, Set<EncryptionFlags>> out = new HashMap<>();
        for (String name : names) {
            JsonNode own = actions.get("attributes").get(name);
            String action = own == null ? text(actions, "default") : own.asText();
            if (name.equals("*amzn-ddb-map-desc*") || name.equals("*amzn-ddb-map-sig*")) {
                continue;
            }
            if (action.equals("encrypt")) {
                out.put(name, EnumSet.of(EncryptionFlags.ENCRYPT, EncryptionFlags.SIGN));
            } else if (action.equals("sign")) {
                out.put(name, EnumSet.of(EncryptionFlags.SIGN));
            }
        }
        return out;
    }

    // Keys

    private static Key key(JsonNode record) throws GeneralSecurityException {
        if (record == null || record.isNull()) {
            return null;
        }
        byte[] material = Base64.getDecoder().decode(text(record, "material"));
        String kind = text(record, "kind");
        String algorithm = kind.startsWith("rsa") ? "RSA" : kind.startsWith("ec") ? "EC" : text(record, "algorithm");
        switch (text(record, "encoding")) {
            case "raw":
                return new SecretKeySpec(material, algorithm);
            case "pkcs8-der":
                return KeyFactory.getInstance(algorithm).generatePrivate(new PKCS8EncodedKeySpec(material));
            default:
                return KeyFactory.getInstance(algorithm).generatePublic(new X509EncodedKeySpec(material));
        }
    }

    private static EncryptionMaterialsProvider provider(JsonNode record, Map<String, String> description)
            throws GeneralSecurityException {
        Key sign = key(record.get("signing_key"));
        Key verify = key(record.get("verification_key"));
        boolean mac = verify instanceof SecretKey;
        KeyPair pair = mac ? null : new KeyPair((PublicKey) verify, (PrivateKey) sign);
        if (text(record, "kind").equals("static")) {
            SecretKey content = (SecretKey) key(record.get("encryption_key"));
            return mac
                    ? new SymmetricStaticProvider(content, (SecretKey) verify, description)
                    : new SymmetricStaticProvider(content, pair, description);
        }
        Key wrap = key(record.get("wrapping_key"));
        Key unwrap = key(record.get("unwrapping_key"));
        return mac
                ? new WrappedMaterialsProvider(wrap, unwrap, (SecretKey) verify, description)
                : new WrappedMaterialsProvider(wrap, unwrap, pair, description);
    }

    // DynamoDB JSON

    private static Map<String, AttributeValue> parse(JsonNode item) {
        Map<String, AttributeValue> out = new HashMap<>();
        item.fields().forEachRemaining(e -> out.put(e.getKey(), value(e.getValue())));
        return out;
    }

    private static ByteBuffer bytes(JsonNode node) {
        return ByteBuffer.wrap(Base64.getDecoder().decode(node.asText()));
    }

    private static AttributeValue value(JsonNode node) {
        Iterator<Map.Entry<String, JsonNode>> fields = node.fields();
        Map.Entry<String, JsonNode> only = fields.next();
        JsonNode inner = only.getValue();
        AttributeValue out = new AttributeValue();
        switch (only.getKey()) {
            case "S":
                return out.withS(inner.asText());
            case "N":
                return out.withN(inner.asText());
            case "B":
                return out.withB(bytes(inner));
            case "BOOL":
                return out.withBOOL(inner.asBoolean());
            case "NULL":
                return out.withNULL(inner.asBoolean());
            case "M":
                return out.withM(parse(inner));
            default:
                break;
        }
        List<String> texts = new ArrayList<>();
        List<ByteBuffer> binaries = new ArrayList<>();
        List<AttributeValue> values = new ArrayList<>();
        for (JsonNode member : inner) {
            switch (only.getKey()) {
                case "BS":
                    binaries.add(bytes(member));
                    break;
                case "L":
                    values.add(value(member));
                    break;
                default:
                    texts.add(member.asText());
            }
        }
        switch (only.getKey()) {
            case "SS":
                return out.withSS(texts);
            case "NS":
                return out.withNS(texts);
            case "BS":
                return out.withBS(binaries);
            case "L":
                return out.withL(values);
            default:
                throw new IllegalArgumentException("no type " + only.getKey());
        }
    }

    private static ObjectNode format(Map<String, AttributeValue> item) {
        ObjectNode out = JSON.createObjectNode();
        item.forEach((name, value) -> out.set(name, format(value)));
        return out;
    }

    private static String base64(ByteBuffer buffer) {
        byte[] bytes = new byte[buffer.duplicate().remaining()];
        buffer.duplicate().get(bytes);
        return Base64.getEncoder().encodeToString(bytes);
    }

    private static ObjectNode format(AttributeValue value) {
        ObjectNode out = JSON.createObjectNode();
        if (value.getS() != null) {
            out.put("S", value.getS());
        } else if (value.getN() != null) {
            out.put("N", value.getN());
        } else if (value.getB() != null) {
            out.put("B", base64(value.getB()));
        } else if (value.getBOOL() != null) {
            out.put("BOOL", value.getBOOL());
        } else if (value.getNULL() != null) {
            out.put("NULL", value.getNULL());
        } else if (value.getM() != null) {
            out.set("M", format(value.getM()));
        } else if (value.getL() != null) {
            ArrayNode list = out.putArray("L");
            value.getL().forEach(v -> list.add(format(v)));
        } else if (value.getSS() != null) {
            value.getSS().forEach(out.putArray("SS")::add);
        } else if (value.getNS() != null) {
            value.getNS().forEach(out.putArray("NS")::add);
        } else {
            ArrayNode list = out.putArray("BS");
            value.getBS().forEach(v -> list.add(base64(v)));
        }
        return out;
    }
}
