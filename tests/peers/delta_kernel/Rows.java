import io.delta.kernel.Scan;
import io.delta.kernel.Snapshot;
import io.delta.kernel.Table;
import io.delta.kernel.data.ColumnVector;
import io.delta.kernel.data.ColumnarBatch;
import io.delta.kernel.data.FilteredColumnarBatch;
import io.delta.kernel.data.Row;
import io.delta.kernel.defaults.engine.DefaultEngine;
import io.delta.kernel.engine.Engine;
import io.delta.kernel.internal.InternalScanFileUtils;
import io.delta.kernel.internal.data.ScanStateRow;
import io.delta.kernel.internal.util.Utils;
import io.delta.kernel.types.StructType;
import io.delta.kernel.utils.CloseableIterator;
import io.delta.kernel.utils.FileStatus;
import java.io.IOException;
import java.util.Optional;
import java.util.StringJoiner;
import org.apache.hadoop.conf.Configuration;

/** Prints the columns `partition` and `offset` of a Delta table as JSON, as Delta Kernel for Java reads them. */
public class Rows {
    public static void main(String[] args) throws IOException {
        Engine engine = DefaultEngine.create(new Configuration());
        Snapshot snapshot = Table.forPath(engine, args[0]).getLatestSnapshot(engine);
        StructType all = snapshot.getSchema();
        StructType wanted = new StructType().add(all.get("partition")).add(all.get("offset"));
        Scan scan = snapshot.getScanBuilder().withReadSchema(wanted).build();
        StringJoiner rows = new StringJoiner(",", "[", "]");
        Row state = scan.getScanState(engine);
        try (CloseableIterator<FilteredColumnarBatch> files = scan.getScanFiles(engine)) {
            while (files.hasNext()) {
                try (CloseableIterator<Row> batch = files.next().getRows()) {
                    while (batch.hasNext()) {
                        readFile(engine, state, batch.next(), rows);
                    }
                }
            }
        }
        System.out.println(rows);
    }

    private static void readFile(Engine engine, Row state, Row file, StringJoiner rows) throws IOException {
        StructType physical = ScanStateRow.getPhysicalDataReadSchema(engine, state);
        FileStatus status = InternalScanFileUtils.getAddFileStatus(file);
        CloseableIterator<ColumnarBatch> data =
                engine.getParquetHandler()
                        .readParquetFiles(Utils.singletonCloseableIterator(status), physical, Optional.empty());
        try (CloseableIterator<FilteredColumnarBatch> batches =
                Scan.transformPhysicalData(engine, state, file, data)) {
            while (batches.hasNext()) {
                FilteredColumnarBatch batch = batches.next();
                ColumnVector partitions = batch.getData().getColumnVector(0);
                ColumnVector offsets = batch.getData().getColumnVector(1);
                Optional<ColumnVector> kept = batch.getSelectionVector();
                for (int row = 0; row < batch.getData().getSize(); row++) {
                    int at = row;
                    if (kept.map(vector -> !vector.isNullAt(at) && vector.getBoolean(at)).orElse(true)) {
                        rows.add("[" + partitions.getInt(row) + "," + offsets.getLong(row) + "]");
                    }
                }
            }
        }
    }
}
