//! Writes the report's JSON Schema to `schema/` in the repository. Run it as `cargo xtask schema`.

use std::{fs, io, path::Path};

fn main() -> io::Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schema/report-1.schema.json");
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, format!("{:#}\n", tickstorm_report::schema()))
}
