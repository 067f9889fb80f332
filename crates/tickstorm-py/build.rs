//! An extension module finds Python's symbols in the process that loads it; macOS' linker must be told so.

fn main() {
    pyo3_build_config::add_extension_module_link_args();
}
