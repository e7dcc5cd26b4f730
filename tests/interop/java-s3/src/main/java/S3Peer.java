import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.security.KeyFactory;
import java.security.PrivateKey;
import java.security.PublicKey;
import java.security.spec.PKCS8EncodedKeySpec;
import java.security.spec.X509EncodedKeySpec;
import java.util.Base64;
import java.util.HashMap;
import java.util.Map;
import javax.crypto.spec.SecretKeySpec;
import software.amazon.awssdk.core.ResponseBytes;
import software.amazon.awssdk.core.sync.RequestBody;
import software.amazon.awssdk.core.sync.ResponseTransformer;
import software.amazon.awssdk.protocols.jsoncore.JsonNode;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.services.s3.S3AsyncClient;
import software.amazon.awssdk.services.s3.S3Client;
import software.amazon.awssdk.services.s3.model.GetObjectRequest;
import software.amazon.awssdk.services.s3.model.GetObjectResponse;
import software.amazon.awssdk.services.s3.model.PutObjectRequest;
import software.amazon.encryption.s3.CommitmentPolicy;
import software.amazon.encryption.s3.S3EncryptionClient;
import software.amazon.encryption.s3.algorithms.AlgorithmSuite;
import software.amazon.encryption.s3.internal.InstructionFileConfig;
import software.amazon.encryption.s3.internal.ReEncryptInstructionFileRequest;
import software.amazon.encryption.s3.materials.AesKeyring;
import software.amazon.encryption.s3.materials.MaterialsDescription;
import software.amazon.encryption.s3.materials.PartialRsaKeyPair;
import software.amazon.encryption.s3.materials.RawKeyring;
import software.amazon.encryption.s3.materials.RsaKeyring;

/**
 * The Amazon S3 Encryption Client for Java as a peer: one JSON object a line in, one line out.
 *
 * <p>In: {"op": "put"|"get"|"reencrypt", "bucket", "key", "material": KEY, "version": "2"|"3", "policy", "body": base64,
 * "range": "bytes=0-9", "instruction_file": "true", "multipart": "true", "legacy": "true", "new_material": KEY}, where
 * KEY is {"aes": base64} or {"private": base64 of PKCS#8, "public": base64 of SPKI} with an optional "description" map.
 * Out: "ok BASE64", or "error WHAT". The server is the first argument.
 */
public final class S3Peer {
    private static S3Client plain;
    private static S3AsyncClient plainAsync;

    private S3Peer() {}

    public static void main(String[] args) throws Exception {
        URI server = URI.create(args[0]);
        plain = S3Client.builder().endpointOverride(server).region(Region.US_EAST_1).forcePathStyle(true).build();
        plainAsync = S3AsyncClient.builder().endpointOverride(server).region(Region.US_EAST_1).forcePathStyle(true).build();
        PrintStream out = new PrintStream(System.out, true, "UTF-8");
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            try {
                out.println("ok " + Base64.getEncoder().encodeToString(run(JsonNode.parser().parse(line).asObject())));
            } catch (Exception error) { // whatever the client lets out is its answer
                Throwable cause = error.getCause() == null ? error : error.getCause();
                out.println("error " + (error + ": " + cause).replace('\n', ' '));
            }
        }
        System.exit(0); // its threads would wait for more
    }

    private static String text(Map<String, JsonNode> request, String name) {
        return request.containsKey(name) ? request.get(name).asString() : null;
    }

    private static byte[] bytes(Map<String, JsonNode> request, String name) {
        return Base64.getDecoder().decode(text(request, name));
    }

    private static RawKeyring keyring(Map<String, JsonNode> material, boolean legacy) throws Exception {
        Map<String, String> pairs = new HashMap<>();
        if (material.containsKey("description")) {
            material.get("description").asObject().forEach((name, value) -> pairs.put(name, value.asString()));
        }
        MaterialsDescription description = MaterialsDescription.builder().putAll(pairs).build();
        if (material.containsKey("aes")) {
            return AesKeyring.builder().wrappingKey(new SecretKeySpec(bytes(material, "aes"), "AES"))
                .materialsDescription(description).enableLegacyWrappingAlgorithms(legacy).build();
        }
        KeyFactory factory = KeyFactory.getInstance("RSA");
        PrivateKey secret = factory.generatePrivate(new PKCS8EncodedKeySpec(bytes(material, "private")));
        PublicKey open = factory.generatePublic(new X509EncodedKeySpec(bytes(material, "public")));
        return RsaKeyring.builder().wrappingKeyPair(new PartialRsaKeyPair(secret, open)).materialsDescription(description)
            .enableLegacyWrappingAlgorithms(legacy).build();
    }

    private static S3EncryptionClient client(Map<String, JsonNode> request) throws Exception {
        boolean committing = !"2".equals(text(request, "version"));
        boolean legacy = text(request, "legacy") != null;
        String policy = text(request, "policy");
        if (policy == null) {
            policy = committing ? "REQUIRE_ENCRYPT_ALLOW_DECRYPT" : "FORBID_ENCRYPT_ALLOW_DECRYPT";
        }
        return S3EncryptionClient.builderV4().wrappedClient(plain).wrappedAsyncClient(plainAsync)
            .keyring(keyring(request.get("material").asObject(), legacy))
            .commitmentPolicy(CommitmentPolicy.valueOf(policy))
            .encryptionAlgorithm(committing ? AlgorithmSuite.ALG_AES_256_GCM_HKDF_SHA512_COMMIT_KEY
                                            : AlgorithmSuite.ALG_AES_256_GCM_IV12_TAG16_NO_KDF)
            .enableLegacyUnauthenticatedModes(legacy)
            .enableMultipartPutObject(text(request, "multipart") != null)
            .instructionFileConfig(InstructionFileConfig.builder().instructionFileClient(plain)
                .enableInstructionFilePutObject(text(request, "instruction_file") != null).build())
            .build();
    }

    private static byte[] run(Map<String, JsonNode> request) throws Exception {
        S3EncryptionClient client = client(request);
        String bucket = text(request, "bucket"), key = text(request, "key");
        switch (text(request, "op")) {
            case "put":
                client.putObject(PutObjectRequest.builder().bucket(bucket).key(key).build(),
                    RequestBody.fromBytes(bytes(request, "body")));
                return new byte[0];
            case "get":
                ResponseBytes<GetObjectResponse> got = client.getObject(
                    GetObjectRequest.builder().bucket(bucket).key(key).range(text(request, "range")).build(),
                    ResponseTransformer.toBytes());
                return got.asByteArray();
            case "reencrypt":
                client.reEncryptInstructionFile(ReEncryptInstructionFileRequest.builder().bucket(bucket).key(key)
                    .newKeyring(keyring(request.get("new_material").asObject(), false)).build());
                return new byte[0];
            default:
                throw new IllegalArgumentException("no such operation");
        }
    }
}
