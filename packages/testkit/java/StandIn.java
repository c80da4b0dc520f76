import de.bwaldvogel.mongo.MongoServer;
import de.bwaldvogel.mongo.MongoVersion;
import de.bwaldvogel.mongo.backend.CollectionOptions;
import de.bwaldvogel.mongo.backend.CursorRegistry;
import de.bwaldvogel.mongo.backend.memory.MemoryBackend;
import de.bwaldvogel.mongo.backend.memory.MemoryCollection;
import de.bwaldvogel.mongo.backend.memory.MemoryDatabase;
import de.bwaldvogel.mongo.bson.Document;
import io.netty.channel.Channel;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.util.List;

/**
 * A stand-in for MongoDB, with its data in memory: {@code java StandIn PORT}; port 0 is a free one.
 *
 * <p>It says {@code listening PORT}. Told {@code down} on its input it loses what a killed server loses, the port, the
 * connections and the cursors, but not the data; told {@code up} it listens again. It ends with its input.
 */
public final class StandIn {
  /** The lowest version that drivers of today speak to. */
  private static final MongoVersion VERSION =
      new MongoVersion() {
        @Override
        public List<Integer> getVersionArray() {
          return List.of(4, 4, 0);
        }

        @Override
        public int getWireVersion() {
          return 9;
        }
      };

  private static final class Backend extends MemoryBackend {
    @Override
    public MemoryDatabase openOrCreateDatabase(String name) {
      return new MemoryDatabase(name, getCursorRegistry()) {
        @Override
        protected MemoryCollection openOrCreateCollection(String collection, CollectionOptions options) {
          return new OrderedCollection(this, collection, options, cursorRegistry);
        }
      };
    }

    /** Answers {@code hello} too, and takes batches as large as those of a MongoDB. */
    @Override
    public Document handleCommand(Channel channel, String database, String command, Document query) {
      boolean hello = command.equals("hello");
      Document answer = super.handleCommand(channel, database, hello ? "ismaster" : command, query);
      if (answer.containsKey("maxWriteBatchSize")) answer.put("maxWriteBatchSize", 100_000);
      if (hello) answer.put("isWritablePrimary", answer.remove("ismaster"));
      return answer;
    }

    /** Keeps the data: only the server in front of it goes down. */
    @Override
    public void close() {
      CursorRegistry cursors = getCursorRegistry();
      for (long id = cursors.generateCursorId(); cursors.size() > 0; id--) cursors.remove(id);
    }
  }

  public static void main(String[] args) {
    try {
      serve(Integer.parseInt(args[0]));
    } catch (Exception e) {
      e.printStackTrace();
    }
    // The server has threads that would go on.
    Runtime.getRuntime().halt(0);
  }

  private static void serve(int firstPort) throws IOException {
    int port = firstPort;
    Backend backend = new Backend();
    backend.version(VERSION);
    // In it every insert stays in memory for ever.
    if (!Boolean.getBoolean("standin.nooplog")) backend.enableOplog();
    MongoServer server = null;
    BufferedReader orders = new BufferedReader(new InputStreamReader(System.in));
    for (String order = "up"; order != null; order = orders.readLine()) {
      if (order.equals("up") && server == null) {
        server = new MongoServer(backend);
        server.bind("127.0.0.1", port);
        port = server.getLocalAddress().getPort();
        System.out.println("listening " + port);
      } else if (order.equals("down") && server != null) {
        server.shutdownNow();
        server = null;
      }
    }
  }
}
