import org.neo4j.harness.Neo4jBuilders;

/** Starts a Neo4j, prints its Bolt address, and stops it when the standard input ends. */
public class Neo4j {
    public static void main(String[] args) throws Exception {
        try (var neo4j = Neo4jBuilders.newInProcessBuilder().withDisabledServer().build()) {
            System.out.println(neo4j.boltURI());
            while (System.in.read() >= 0) { }
        }
    }
}
