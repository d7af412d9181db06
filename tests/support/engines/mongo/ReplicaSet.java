import de.bwaldvogel.mongo.bson.Document;
import de.bwaldvogel.mongo.exception.MongoServerError;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.function.Function;

/**
 * What a replica set of one says of itself: before it is initiated, and after. Nothing is replicated,
 * nobody elected, and there is no oplog: a client sees a primary, and that is all.
 */
class ReplicaSet {
    private final String name;
    private final Path file;
    private String host;

    /** Without a name all is as it was; the file keeps that it was initiated, if there is one. */
    ReplicaSet(String name, Path file) throws IOException {
        this.name = name;
        this.file = file;
        if (name != null && file != null && Files.exists(file)) {
            host = Files.readString(file);
        }
    }

    synchronized Document answer(String command, Document query, Function<String, Document> server) {
        if (name == null) {
            return server.apply(command);
        }
        return switch (command.toLowerCase(Locale.ROOT)) {
            case "hello", "ismaster" -> hello(server.apply("isMaster"));
            case "replsetinitiate" -> initiate((Document) query.get(query.keySet().iterator().next()));
            default -> server.apply(command);
        };
    }

    private Document hello(Document answer) {
        boolean primary = host != null;
        answer.put("ismaster", primary);
        answer.put("isWritablePrimary", primary);
        answer.put("secondary", false);
        if (!primary) {
            answer.put("isreplicaset", true);
            return answer;
        }
        answer.put("setName", name);
        answer.put("setVersion", 1);
        answer.put("hosts", List.of(host));
        answer.put("primary", host);
        answer.put("me", host);
        return answer;
    }

    private Document initiate(Document config) {
        if (host != null) {
            throw new MongoServerError(23, "AlreadyInitialized", "already initialized");
        }
        if (!name.equals(config.get("_id"))) {
            throw new MongoServerError(
                93, "InvalidReplicaSetConfig", "the set is called " + name + " by --replSet"
            );
        }
        List<?> members = (List<?>) config.get("members");
        host = (String) ((Document) members.get(0)).get("host");
        try {
            if (file != null) {
                Files.writeString(file, host);
            }
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
        return new Document("ok", 1.0);
    }
}
