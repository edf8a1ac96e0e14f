Explorer.wiring=(e)=>{};
