//! Tables of comma-separated values (RFC 4180) with a header row. Pure.
//!
//! Not here: other separators; tables without a header.

use super::{MAX_VALUES, decimal, malformed, too_many_values};
use crate::reading::Failure;
use csv::{ReaderBuilder, Trim};
use serde_json::{Map, Value};

/// Reads a table as a list of rows, each a map from column to cell. A cell with a number is a number.
///
/// HAProxy begins the header with `# ` and ends its lines with a comma: the `# ` is removed, and a column
/// without a name is ignored.
pub(super) fn read(text: &str) -> Result<Value, Failure> {
    let text = text.strip_prefix('#').unwrap_or(text);
    let mut reader = ReaderBuilder::new()
        .trim(Trim::All)
        .from_reader(text.as_bytes());
    let wrong = |error: csv::Error| malformed(format_args!("not CSV: {error}"));
    let header = reader.headers().map_err(wrong)?.clone();
    if header.iter().all(str::is_empty) {
        return Err(malformed("not CSV: no header row"));
    }
    let mut rows = Vec::new();
    let mut values = 0;
    for record in reader.records() {
        let record = record.map_err(wrong)?;
        values += 1 + record.len();
        if values > MAX_VALUES {
            return Err(too_many_values());
        }
        let cells = header.iter().zip(record.iter());
        let row: Map<String, Value> = cells
            .filter(|(column, _)| !column.is_empty())
            .map(|(column, cell)| (column.to_owned(), value(cell)))
            .collect();
        rows.push(Value::Object(row));
    }
    Ok(Value::Array(rows))
}

fn value(cell: &str) -> Value {
    match decimal(cell).filter(|number| number.is_finite()) {
        Some(number) => number.into(),
        None => cell.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn tables_of_real_programs() {
        // HAProxy 2.6, `show stat`, shortened.
        let haproxy = "# pxname,svname,qcur,scur,status,rate,\n\
            web,FRONTEND,,2,OPEN,12,\nweb,web1,0,1,UP 1/2,7,\n";
        assert_eq!(
            read(haproxy),
            Ok(json!([
                {"pxname": "web", "svname": "FRONTEND", "qcur": "", "scur": 2.0, "status": "OPEN", "rate": 12.0},
                {"pxname": "web", "svname": "web1", "qcur": 0.0, "scur": 1.0, "status": "UP 1/2", "rate": 7.0},
            ]))
        );
        // nvidia-smi --query-gpu=name,utilization.gpu,memory.free --format=csv,nounits
        let nvidia = "name, utilization.gpu [%], memory.free [MiB]\nNVIDIA L4, 35, 20475\n";
        assert_eq!(
            read(nvidia),
            Ok(json!([
                {"name": "NVIDIA L4", "utilization.gpu [%]": 35.0, "memory.free [MiB]": 20475.0},
            ]))
        );
    }

    #[test]
    fn quotes_and_line_ends_follow_the_rfc() {
        let text = "a,\"b\"\r\n\"x,\"\"y\"\"\",\"1\n2\"\r\n\r\n-1e2,inf\r\n";
        assert_eq!(
            read(text),
            Ok(json!([{"a": "x,\"y\"", "b": "1\n2"}, {"a": -100.0, "b": "inf"}]))
        );
        assert_eq!(read("a,b\n"), Ok(json!([])));
    }

    #[test]
    fn other_texts_are_malformed() {
        for text in ["", "\n", ",,\n1,2,3\n", "a,b\n1\n", "a\n1,2\n"] {
            assert!(read(text).is_err(), "{text:?}");
        }
    }
}
